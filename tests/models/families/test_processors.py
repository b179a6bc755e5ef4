"""Processors of models that also take videos load without torchvision, for still images."""

import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from transformers import Qwen2VLConfig, Qwen2VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.utils import is_torchvision_available

import tokviz
from tests.films import film_of, noise_film
from tests.models.tiny import byte_tokenizer, save
from tests.models.tiny_tiles import TINY_TILES
from tokviz.models.families.film_pixels import QwenPixels
from tokviz.models.families.lfm2_pixels import Lfm2Pixels, cut_of
from tokviz.models.families.processors import film_settings, load_processor, still_images

TEMPLATE = (
    "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<|image_pad|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}"
)


@pytest.mark.skipif(is_torchvision_available(), reason="here the whole processor loads")
def test_a_processor_with_a_video_half_loads_and_reads_an_image(tmp_path):
    """transformers alone raises an error about a mapping that says nothing of torchvision."""
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|image_pad|>", "<|video_pad|>"]})
    pixels = Qwen2VLImageProcessorPil(patch_size=8, size={"shortest_edge": 1, "longest_edge": 9999})
    saved = still_images(Qwen2VLProcessor)(pixels, tokenizer, chat_template=TEMPLATE)
    saved.save_pretrained(tmp_path)
    processor = load_processor(str(tmp_path), Qwen2VLConfig())
    assert type(processor).__name__ == "Qwen2VLProcessor"
    content = [{"type": "image"}, {"type": "text", "text": "hi"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}])
    assert text == "<|image_pad|>hi"
    batch = processor(images=[Image.new("RGB", (64, 32))], text=text, return_tensors="pt")
    assert batch["image_grid_thw"].tolist() == [[1, 4, 8]]
    assert batch["input_ids"].shape == (1, 8 + 2)


def test_settings_for_films_are_read_where_transformers_keeps_them(tmp_path):
    assert film_settings(str(tmp_path)) == {}
    size = {"shortest_edge": 100, "longest_edge": 200}
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps({"size": size}))
    assert film_settings(str(tmp_path)) == {"size": size}
    newer = {"video_processor": {"size": {"shortest_edge": 5, "longest_edge": 9}}}
    (tmp_path / "processor_config.json").write_text(json.dumps(newer))
    assert film_settings(str(tmp_path)) == newer["video_processor"]
    (tmp_path / "processor_config.json").write_text("{")
    assert film_settings(str(tmp_path)) == {"size": size}


def test_a_films_pixels_follow_its_own_settings_and_else_those_of_pictures(checkpoint):
    """The folder of a checkpoint gets settings of its own; the tokens of a film are fewer."""
    folder = checkpoint("qwen2_5_vl")
    film = noise_film(4, (96, 96))
    before = tokviz.load(folder).prepare(film, "what?").asked.layout
    assert {(tile.rows, tile.cols) for tile in before.tiles} == {(6, 6)}  # 96 x 96 pixels at most
    settings = folder / "video_preprocessor_config.json"
    settings.write_text(json.dumps({"size": {"shortest_edge": 256, "longest_edge": 32 * 32}}))
    try:
        after = tokviz.load(folder).prepare(film, "what?").asked.layout
    finally:
        settings.unlink()
    assert {(tile.rows, tile.cols) for tile in after.tiles} == {(2, 2)}


@pytest.mark.parametrize(
    ("frames", "size", "tokens"),
    [
        (8, (448, 448), 4 * 16 * 16),
        (9, (448, 448), 5 * 16 * 16),  # an odd number is filled up
        (4, (1280, 720), 2 * 20 * 36),  # at most 768 tokens' worth of pixels per frame
        (2, (100, 100), 1 * 12 * 12),  # at least 128 tokens' worth
    ],
)
def test_qwen2_5_vl_makes_the_published_number_of_tokens(frames, size, tokens):
    """Two frames per temporal patch, 14 pixels x merge 2, with transformers' limits for films."""
    limits = {"shortest_edge": 128 * 28 * 28, "longest_edge": 768 * 28 * 28}
    part = SimpleNamespace(
        size=limits, patch_size=14, merge_size=2, temporal_patch_size=2,
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip
    film = film_of([Image.new("RGB", size)] * frames)
    values = QwenPixels(film, SimpleNamespace(image_processor=part, video_processor=None)).values()
    assert int(values["video_grid_thw"].prod()) // 4 == tokens
    assert values["pixel_values_videos"].shape == (4 * tokens, 3 * 2 * 14 * 14)


# -- LFM2-VL, whose processor transformers has for torchvision alone ------------------------------

PUBLISHED = {
    "image_processor_type": "Lfm2VlImageProcessorFast",
    "processor_class": "Lfm2VlProcessor",
    "crop_size": None,
    "device": None,
    "do_convert_rgb": None,
    "encoder_patch_size": 8,
    "max_image_tokens": 12,
    "max_num_patches": 48,
    "max_tiles": 6,
    "min_image_tokens": 4,
    "resample": 2,
    "size": {"height": 512, "width": 512},
    "tile_size": 48,
}
"""Names as in the published preprocessor_config.json, sizes of the tiny model."""


@pytest.mark.skipif(is_torchvision_available(), reason="here the library's own class loads")
def test_the_pixels_of_lfm2_vl_load_from_a_published_checkpoints_files(tmp_path, cat):
    folder = save(TINY_TILES["lfm2_vl"], tmp_path)
    want = tokviz.load(folder).prepare(cat, "what?").inputs
    (folder / "processor_config.json").write_text('{"processor_class": "Lfm2VlProcessor"}')
    (folder / "preprocessor_config.json").write_text(json.dumps(PUBLISHED))
    found = tokviz.load(folder).prepare(cat, "what?").inputs
    assert all(torch.equal(found[name], value) for name, value in want.items())


@pytest.mark.parametrize(
    ("size", "cut"),
    [
        ((512, 512), (1, 1, 512, 512)),
        ((100, 100), (1, 1, 256, 256)),  # at least 64 tokens
        ((1000, 400), (1, 1, 320, 800)),  # under twice 256 tokens' pixels: not cut
        ((4000, 3000), (2, 3, 416, 576)),
        ((1600, 400), (1, 4, 256, 1024)),
        ((1000, 3000), (3, 1, 864, 288)),
    ],
)
def test_a_picture_is_cut_as_lfm2_vl_was_taught(size, cut):
    """512-pixel tiles, two to ten; a thumbnail of at most 256 tokens of 32 pixels."""
    width, height = size
    assert cut_of(Lfm2Pixels(), height, width) == cut
