"""A picture gives no more visual tokens than was asked, and the answer is that of the processor."""

import numpy as np
import pytest
import torch
from PIL import Image

import tokviz
from tests.models.test_promises import PROMPT
from tokviz.errors import ModelError
from tokviz.models.checkpoints.token_bound import CPU_VISUAL_TOKENS, token_bound
from tokviz.models.families.family import FAMILIES

FIXED = {"llava", "paligemma", "gemma3", "gemma3n", "deepseek_vl", "deepseek_vl_hybrid"}
"""Families that make as many tokens of every picture."""
MOST = {"internvl": 27, "llava_next": 120, "llava_onevision": 24, "idefics3": 48, "qwen2_vl": 20,
        "qwen2_5_vl": 20, "qwen3_vl": 20, "qwen3_5": 20, "glm4v": 20, "aya_vision": 27,
        "mistral3": 17, "lighton_ocr": 17, "pixtral": 17, "cohere2_vision": 27, "gemma4": 70,
        "gemma4_e2b": 70,
        "paddleocr_vl": 20, "ovis2": 27, "lfm2_vl": 40, "minicpmv4_6": 30}  # fmt: skip


def large() -> Image.Image:
    """A picture that is larger than what any tiny model reads."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 420, 3), np.uint8)
    return Image.fromarray(pixels)


def test_a_large_picture_gives_fewer_tokens_and_the_answer_is_generates(family, checkpoint):
    if family in FIXED:
        pytest.skip("as many tokens of every picture")
    most = MOST[family]
    free = tokviz.load(checkpoint(family))
    bounded = tokviz.load(checkpoint(family), max_visual_tokens=most)
    trace = bounded.answer(large(), PROMPT, max_new_tokens=4)
    assert trace.n < free.answer(large(), PROMPT, max_new_tokens=1).n
    assert trace.n <= most * 1.15  # newlines and marks of tiles are not counted
    assert any("visual tokens at most; larger ones" in note for note in trace.notes)
    inputs = bounded.prepare(large(), PROMPT).inputs
    with torch.inference_mode():
        ids = bounded.model.generate(**inputs, do_sample=False, max_new_tokens=4)
    assert ids[0, inputs["input_ids"].shape[1] :].tolist()[:4] == trace["answer_ids"].tolist()
    assert trace.layout.sizes == ((420, 300),)


def test_a_model_whose_pictures_give_fewer_is_left_as_it_is(family, checkpoint):
    for asked in (None, 0, 10**6):
        notes = tokviz.load(checkpoint(family), max_visual_tokens=asked).notes
        assert not any("visual tokens at most" in note for note in notes)


def test_every_family_with_tiles_or_free_grids_can_be_bounded():
    """Only a tower that sees every picture at one size needs no bound."""
    base = FAMILIES["llava"].bound_tokens.__func__
    without = {name for name, one in FAMILIES.items() if one.bound_tokens.__func__ is base}
    assert {FAMILIES[name].name for name in without} == FIXED


@pytest.mark.parametrize("odd", [-1, 2.5, "many", True, float("nan")])
def test_what_is_no_bound_is_refused(odd):
    with pytest.raises(ModelError, match="max_visual_tokens must be a whole number up to 1,000"):
        tokviz.load("embedded", max_visual_tokens=odd)


def test_the_default_follows_the_device():
    assert token_bound(None, "cpu") == CPU_VISUAL_TOKENS
    assert token_bound(None, "cuda:1") == 0
    assert token_bound("64", "cpu") == 64
