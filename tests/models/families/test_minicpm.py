"""MiniCPM-V: slices behind the whole picture, a merger amid the tower's layers."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.minicpmv4_6.image_processing_pil_minicpmv4_6 import (
    MiniCPMV4_6ImageProcessorPil,
)
from transformers.utils import is_torchvision_available

import tokviz
from tests.models.test_promises import PROMPT
from tests.models.tiny import save, shake
from tests.models.tiny_minicpm import MARKS, TINY_MINICPM, minicpmv4_6
from tests.real_tokenizers import byte_level
from tokviz.errors import InputError, ModelError
from tokviz.matrix import Reduction
from tokviz.models.families.minicpmv4_6 import MiniCpmV46
from tokviz.plans import chosen
from tokviz.testing.on_families import check_generate, plan_of, run_plan, without

pytestmark = pytest.mark.matrix

NAMES = ("minicpmv4_6", "minicpmv4_6_4x", "minicpmv4_7")


@pytest.fixture(params=NAMES)
def minicpm(request, checkpoint):
    return tokviz.load(checkpoint(request.param))


def test_the_whole_picture_comes_first_then_its_slices_row_by_row(minicpm):
    """A picture cut into 2 rows of 3, and one in one piece: parts in the order of the prompt."""
    shown = [Image.new("RGB", (240, 96)), Image.new("RGB", (40, 40))]
    prepared = minicpm.prepare(shown, PROMPT)
    layout = prepared.asked.layout
    roles = ["thumbnail", *["tile"] * 6, "whole"]
    assert [(tile.image, tile.role) for tile in layout.tiles] == [
        (int(i == 7), role) for i, role in enumerate(roles)
    ]
    assert [tile.box for tile in layout.tiles[:3]] == [
        (0, 0, 240, 96), (0, 0, 80, 48), (80, 0, 160, 48),
    ]  # fmt: skip
    assert layout.tiles[4].box == (0, 48, 80, 96)
    # every part is a run of placeholders of its own, and a row of slices ends with a line break
    runs = np.split(layout.position, np.flatnonzero(np.diff(layout.position) > 1) + 1)
    assert [len(run) for run in runs] == [tile.rows * tile.cols for tile in layout.tiles]
    between = [
        minicpm.tokenizer.decode(prepared.asked.prompt_ids[a[-1] + 1 : b[0]])
        for a, b in zip(runs[:-1], runs[1:], strict=True)
    ]
    assert [text.count("\n") for text in between[1:6]] == [0, 0, 1, 0, 0]
    assert all("slice>" in text for text in between[:6])


def test_the_tower_that_is_shown_begins_behind_the_merger_and_every_run_says_so(minicpm, cat):
    family, model = minicpm.family, minicpm.model
    blocks = model.model.vision_tower.encoder.layers
    merges = model.config.downsample_mode == "16x"
    shown = list(family.tower_layers(model))
    assert shown == list(blocks[2:] if merges else blocks)
    prepared = minicpm.prepare(cat, PROMPT)
    patches = sum(family.image_patches(model, prepared.inputs))
    given = int(prepared.inputs["target_sizes"].prod(1).sum())
    assert patches == (given // 4 if merges else given) == 4 * prepared.asked.layout.n
    trace = minicpm.answer(cat, PROMPT, None, 2)
    assert trace.model["tower_layers"] == len(shown)
    assert any("behind its layer 1" in note for note in trace.notes) == merges


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"merger_times": 2}, "it merges 2 times behind its tower"),
        ({"insert_layer_id": 5}, "behind one of the layers 0 to 4, got 5"),
        ({"insert_layer_id": -1}, "behind one of the layers 0 to 4, got -1"),
    ],
)
def test_mergers_that_cannot_be_followed_are_refused_in_words(changes, said):
    model, processor = minicpmv4_6()
    for name, value in changes.items():
        setattr(model.config, name, value)
        setattr(model.config.vision_config, name, value)
    with pytest.raises(ModelError, match=said):
        tokviz.load((model, processor))


def test_a_processor_that_counts_other_tokens_than_the_model_makes_is_told_so(cat):
    model, processor = minicpmv4_6()
    processor.image_processor.downsample_mode = "4x"
    vlm = tokviz.load((shake(model), processor))
    with pytest.raises(tokviz.TokvizError, match=r"downsample_mode"):
        vlm.answer(cat, PROMPT, None, 1)


@pytest.mark.parametrize("mark", ["<|image_pad|>", "</slice>"])
def test_a_question_with_a_mark_of_pictures_is_refused_in_words(minicpm, cat, mark):
    with pytest.raises(InputError, match=mark.replace("|", r"\|")):
        minicpm.answer(cat, f"what does {mark} mean?", None, 2)


PUBLISHED = {
    "image_processor_type": "MiniCPMV4_6ImageProcessor",
    "processor_class": "MiniCPMV4_6Processor",
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "max_slice_nums": 6,
    "patch_size": 4,
    "scale_resolution": 48,
    "slice_mode": True,
    "use_image_id": True,
}
"""Names as in the published preprocessor_config.json, sizes of the tiny model."""


@pytest.mark.skipif(is_torchvision_available(), reason="here the library's own class loads")
def test_a_published_checkpoints_files_load_without_torchvision(tmp_path, cat):
    folder = save(TINY_MINICPM["minicpmv4_6"], tmp_path)
    want = tokviz.load(folder).prepare(cat, PROMPT).inputs
    (folder / "processor_config.json").unlink()
    (folder / "preprocessor_config.json").write_text(json.dumps(PUBLISHED))
    film = {"video_processor_type": "MiniCPMV4_6VideoProcessor", "slice_mode": True}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(film))
    vlm = tokviz.load(folder)
    assert type(vlm.processor).__name__ == "MiniCPMV4_6Processor"
    assert vlm.processor.video_slice_mode is True
    found = vlm.prepare(cat, PROMPT).inputs
    assert all(torch.equal(found[name], value) for name, value in want.items())


@pytest.mark.slow
def test_a_photograph_of_12_megapixels_at_the_published_settings_in_bfloat16(cat):
    """Ten parts of about 64 tokens; words of several letters and bytes."""
    tokenizer = byte_level()
    tokenizer.add_special_tokens({"additional_special_tokens": [*MARKS.values()]})
    model, processor = minicpmv4_6(patch=14)
    model.resize_token_embeddings(len(tokenizer))
    for name, token in MARKS.items():
        setattr(tokenizer, name, token)
        setattr(tokenizer, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
    model.config.image_token_id = tokenizer.convert_tokens_to_ids(MARKS["image_token"])
    processor = type(processor)(MiniCPMV4_6ImageProcessorPil(), tokenizer)
    torch.manual_seed(0)
    vlm = tokviz.load((shake(model).to(torch.bfloat16), processor))
    question = "what is in the picture? naïve café, 日本語"
    prepared = vlm.prepare(cat.resize((4000, 3000)), question)
    own = prepared.asked.prompt_ids[prepared.asked.own_rows]
    assert tokenizer.decode(own) == question
    layout = prepared.asked.layout
    assert [tile.role for tile in layout.tiles] == ["thumbnail", *["tile"] * 9]
    assert 500 < layout.n < 800
    for place in ("nowhere", "before", "tower", "language_model", "cache"):
        check_generate(vlm, prepared, plan_of(place, layout.n))
    kept = np.arange(0, layout.n, 4)
    logits, _ = run_plan(vlm, prepared, chosen(Reduction.select(kept, layout.n)))
    reference = without(vlm, prepared, kept)
    assert (logits[0] - reference).abs().max() < 0.1 * reference.std()


def test_no_more_slices_than_asked_and_the_whole_picture_smaller_below_that():
    """At the published settings: 64 tokens of a part, and up to nine slices."""
    _, processor = minicpmv4_6()
    found = []
    for most in (3072, 640, 639, 200, 192, 191, 64, 30):
        processor.image_processor = images = MiniCPMV4_6ImageProcessorPil()
        model, _ = minicpmv4_6()
        lowered = MiniCpmV46().bound_tokens(model, processor, most)
        found.append((lowered, images.max_slice_nums, images.scale_resolution))
    assert found == [
        (False, 9, 448), (False, 9, 448), (True, 8, 448), (True, 2, 448), (True, 2, 448),
        (True, 1, 448), (True, 1, 448), (True, 1, 280),
    ]  # fmt: skip
