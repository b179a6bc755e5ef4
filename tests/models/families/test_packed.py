"""Towers with all pictures in one sequence, in raster order; row ends in the prompt."""

import importlib
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from transformers import PreTrainedTokenizerFast
from transformers.image_utils import SizeDict
from transformers.models.pixtral import image_processing_pil_pixtral
from transformers.utils import is_torchvision_available

import tokviz
from tests.models import test_promises as promises
from tests.models import tiny
from tests.models.test_promises import pictures
from tests.models.tiny_packed import ROWS, TINY_PACKED
from tests.models.tower.test_tower import encoded, first_two, tiles_of  # noqa: F401
from tests.real_tokenizers import byte_level, tekken
from tokviz.capture import Capture
from tokviz.errors import InputError, ModelError
from tokviz.models.families.pixtral_processor import PixtralProcessor
from tokviz.models.tower.vision import encode
from tokviz.reduction import vflowopt
from tokviz.testing.on_families import check_generate, plan_of

pytestmark = pytest.mark.matrix

PROMPT = "what is this?"
INSTRUCT = (
    "{{ bos_token }}{% for m in messages %}[INST]{% for c in m.content %}{% if c.type == 'image' %}"
    "[IMG]{% else %}{{ c.text }}{% endif %}{% endfor %}[/INST]{% endfor %}"
)


@pytest.fixture(params=sorted(TINY_PACKED))
def packed(request, checkpoint):
    return tokviz.load(checkpoint(request.param))


def towers(vlm, shown):
    """One run of the tower over pictures, everything recorded, and its prompt."""
    prepared = vlm.prepare(shown, PROMPT)
    wanted = dict.fromkeys(("recv_attn", "full_attn", "k"))
    with vlm.guarded():
        layout = prepared.asked.layout
        return encode(vlm.family, vlm.model, prepared.inputs, layout, wanted, norms=True), prepared


@pytest.mark.parametrize("name", ["mistral3", "minicpmv4_6"])
def test_grey_levels_of_a_picture_among_others_are_its_own(checkpoint, cat, monkeypatch, name):
    """A tower that takes all pictures as one sequence says of no picture which pixels are its."""
    given = []

    def entropies(signals):
        given.append({one for one in ("pixels", "patch_entropy") if one in signals})
        return vflowopt.signals_entropy(signals)

    monkeypatch.setattr(vflowopt, "signals_entropy", vflowopt.patch_entropy, raising=False)
    monkeypatch.setattr(vflowopt, "patch_entropy", entropies)
    vlm = tokviz.load(checkpoint(name))
    shown = [cat.resize((48, 48)), Image.new("RGB", (48, 48), "white")]
    vlm.answer(shown, PROMPT, tokviz.plan("vflowopt", keep=4, entropy=0.5), 1)
    assert given
    assert all(one == {"patch_entropy"} for one in given)


def test_pictures_in_one_sequence_are_told_apart(packed, cat):
    """Every signal of a picture among others is that of the picture alone."""
    shown = pictures(cat, 3)
    together, prepared = towers(packed, shown)
    lengths = packed.family.image_patches(packed.model, prepared.inputs)
    ends = np.cumsum(lengths)
    for picture, end, length in zip(shown, ends, lengths, strict=True):
        alone, _ = towers(packed, [picture])
        own = slice(end - length, end)
        for name, axes in (("recv_attn", (1,)), ("full_attn", (2, 3)), ("k", (2,))):
            for layer, value in alone.layers[name].items():
                among = together.layers[name][layer]
                for axis in axes:
                    among = among.narrow(axis, own.start, length)
                assert torch.allclose(among, value, atol=1e-5), (name, layer)
        for layer, norms in alone.norms.items():
            assert torch.allclose(together.norms[layer][:, own], norms, rtol=1e-4)


def test_merging_in_the_tower_tells_pictures_apart(packed, cat, first_two):  # noqa: F811
    """The bias of merged tokens is added to the mask that hides the pictures from each other."""
    shown = pictures(cat, 3)
    tokens, parts = [], []
    for group in (shown, *([one] for one in shown)):
        prepared = packed.prepare(group, PROMPT)
        tiles = [(own, len(own) - 1) for own, _ in tiles_of(prepared)]
        shared = packed.encode(prepared, [], Capture())
        made = encoded(packed, prepared, first_two, tiles, shared).features.tokens
        (parts if len(group) == 1 else tokens).append(made)
    assert torch.allclose(tokens[0], torch.cat(parts), atol=1e-4)


@pytest.mark.parametrize("name", ["mistral3", "pixtral"])
def test_a_break_follows_every_row_and_stays_when_its_row_is_removed(checkpoint, cat, name):
    vlm = tokviz.load(checkpoint(name))
    shown = pictures(cat, 2)
    trace = vlm.answer(shown, PROMPT, tokviz.plan("divprune", keep=3), 3)
    layout, words = trace.layout, list(trace.prompt_tokens)
    last = layout.col == np.array([tile.cols - 1 for tile in layout.tiles])[layout.tile]
    end = last & (layout.row == np.array([tile.rows - 1 for tile in layout.tiles])[layout.tile])
    after = np.array(words)[layout.position + 1]
    assert set(after[end]) == {"[IMG_END]"}
    assert set(after[last & ~end]) == {"[IMG_BREAK]"}
    assert set(after[~last]) == {"[IMG]"}
    assert trace.kv_lengths[0] == len(words) - layout.n + 3 + trace.t - 1


def test_a_picture_without_a_whole_token_is_refused_in_words(packed, cat):
    thin = Image.new("RGB", (700, 20))
    if packed.family.name != "lighton_ocr":  # their processors make whole tokens of every picture
        assert packed.visual_tokens(thin) == {"paddleocr_vl": 35}.get(packed.family.name, 6)
        return
    with pytest.raises(InputError, match="700 x 20 pixels gives LightOnOCR no visual token"):
        packed.prepare(thin, PROMPT)
    with pytest.raises(InputError, match="700 x 20"):
        packed.answer([cat, thin], PROMPT)


def test_a_processor_of_other_sizes_is_named(cat):
    model, processor = tiny.TINY["mistral3"].build()
    processor.spatial_merge_size = 1
    vlm = tokviz.load((tiny.shake(model), processor))
    with pytest.raises(ModelError, match="spatial_merge_size is 1 in the processor and 2 by the"):
        vlm.prepare(cat, PROMPT)


def test_a_size_of_height_and_width_can_be_bounded(checkpoint, cat):
    vlm = tokviz.load(checkpoint("mistral3"))
    vlm.processor.image_processor.size = SizeDict(height=48, width=48)
    whole = vlm.visual_tokens(cat)
    assert not vlm.family.bound_tokens(vlm.model, vlm.processor, 36)
    assert vlm.family.bound_tokens(vlm.model, vlm.processor, 10)
    assert vlm.visual_tokens(cat) <= 9 < whole


@pytest.mark.parametrize("policy", ["keep", "repack"])
def test_ministral_counts_the_positions_of_what_is_left_when_they_are_renumbered(
    checkpoint, cat, policy, every_third
):
    """Its queries are scaled by their position: in prefill as in the steps that follow."""
    vlm = tokviz.load(checkpoint("ministral3"))
    again = promises.test_cached_decoding_after_pruning_inside_equals_recomputation
    again(vlm, cat, policy, every_third)


# -- the processor --------------------------------------------------------------------------------


@pytest.fixture
def theirs(monkeypatch):
    """transformers' own class; what its file imports beside it stands in another file too."""
    place = "transformers.models.pixtral"
    if not is_torchvision_available():
        stand_in = ModuleType(f"{place}.image_processing_pixtral")
        resized = image_processing_pil_pixtral.get_resize_output_image_size
        stand_in.get_resize_output_image_size = resized
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    yield importlib.import_module(f"{place}.processing_pixtral").PixtralProcessor
    sys.modules.pop(f"{place}.processing_pixtral")


@pytest.mark.parametrize("merge", [1, 2])
def test_our_processor_writes_what_transformers_own_one_writes(theirs, cat, tmp_path, merge):
    _, processor = tiny.TINY["mistral3"].build()
    parts = {"image_processor": processor.image_processor, "tokenizer": processor.tokenizer}
    ours, own = (
        kind(**parts, patch_size=4, spatial_merge_size=merge, chat_template=INSTRUCT)
        for kind in (PixtralProcessor, theirs)
    )
    text = "[IMG]a[IMG]b[IMG]?"
    made, expected = (
        one(images=pictures(cat, 3), text=text, return_tensors="pt") for one in (ours, own)
    )
    assert list(made) == list(expected)
    assert all(torch.equal(made[name], expected[name]) for name in made)
    ours.save_pretrained(tmp_path / "ours")
    own.save_pretrained(tmp_path / "own")
    for file in ("processor_config.json", "chat_template.jinja"):
        assert (tmp_path / "ours" / file).read_text() == (tmp_path / "own" / file).read_text()


# -- a real tokenizer, large pictures, 16 bits ----------------------------------------------------


WEEKLY = pytest.mark.weekly


@pytest.fixture(
    scope="module",
    params=[
        "mistral3-float32",
        pytest.param("mistral3-bfloat16", marks=WEEKLY),
        pytest.param("lighton_ocr-float32", marks=WEEKLY),
        "lighton_ocr-bfloat16",
    ],
)
def real(request, tmp_path_factory):
    """Mistral 3 with the words of the published ones; LightOnOCR with merges trained here."""
    name, dtype = request.param.split("-")
    folder = tmp_path_factory.mktemp("words")

    def build():
        model, processor = tiny.TINY[name].build()
        words = tekken(folder) if name == "mistral3" else qwens()
        made = type(processor)(
            processor.image_processor,
            words,
            patch_size=4,
            spatial_merge_size=2,
            chat_template=INSTRUCT,
        )
        model.config.image_token_id = made.image_token_id
        model.resize_token_embeddings(len(words))
        return model, made

    saved = tiny.save(tiny.Tiny(build, ()), folder / "model")
    return tokviz.load(saved, dtype=dtype)


def qwens():
    """A byte-level tokenizer with merges that knows the roles that LightOnOCR asks for."""
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_level().backend_tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=ROWS,
    )


def test_with_real_words_every_promise_holds(real, cat):
    if real.family.name == "mistral3":
        assert real.processor.image_token_ids == [10, 12, 13]
    question = "What is in the picture, don't guess: 1990 or 日本?"
    prepared = real.prepare(pictures(cat, 3), question)
    asked = prepared.asked
    assert real.tokenizer.decode(asked.prompt_ids[asked.own_rows]) == question
    assert len(asked.own_rows) < len(question.encode())
    assert asked.prompt_ids.tolist().count(real.tokenizer.bos_token_id) == 1
    for place in ("nowhere", "before", "tower", "language_model"):
        check_generate(real, prepared, plan_of(place, asked.layout.n))
    with pytest.raises(InputError, match=r"\[IMG\]"):
        real.prepare(cat, "what is [IMG] here?")


def test_a_picture_of_twelve_megapixels_gives_what_the_processor_says(real):
    """30 x 23 tokens; LightOnOCR's pictures are whole patches, and one row of them is left over."""
    large = Image.fromarray(data.chelsea()).resize((4000, 3000))
    images = real.processor.image_processor
    before, images.size = images.size, {"longest_edge": 240}
    try:
        prepared = real.prepare([large, large.resize((300, 4000))], PROMPT)
        tiles = prepared.asked.layout.tiles
        exact = real.family.name == "mistral3"
        assert [(tile.rows, tile.cols) for tile in tiles] == [
            (23 if exact else 22, 30),
            (30, 3 if exact else 2),
        ]
        assert tiles[0].box == (0, 0, 4000, 3000 if exact else pytest.approx(3000 * 44 / 45))
        check_generate(real, prepared, plan_of("tower", prepared.asked.layout.n))
    finally:
        images.size = before
