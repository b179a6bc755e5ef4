"""A method that lacks a signal says why: the model, the picture, or the steps before it."""

import numpy as np
import pytest

import tokviz

PROMPT = "what is this?"


def said(vlm, image, plan):
    """The words of the refusal."""
    with pytest.raises(tokviz.MissingSignal) as refusal:
        vlm.answer(image, PROMPT, plan, 2)
    return str(refusal.value)


def test_no_cls_token_is_named_as_such(checkpoint, cat):
    vlm = tokviz.load(checkpoint("idefics3"))
    words = said(vlm, cat, tokviz.plan("globalcom2", keep=20))
    assert "the vision tower of Idefics3 has no [CLS] token" in words


def test_a_method_inside_the_tower_says_that_there_is_no_cls_token(checkpoint, cat):
    vlm = tokviz.load(checkpoint("llava_onevision"))
    words = said(vlm, cat, tokviz.plan("ficoco_v", keep="40%"))
    assert words.startswith("FiCoCo-V cannot run here: it compares patches with the [CLS] token")
    assert vlm.answer(cat, PROMPT, tokviz.plan("tome", keep="60%"), 2).t  # others run there


def test_tokens_that_earlier_steps_left_fill_no_grid(vlm, cat):
    plan = tokviz.plan("uniform", keep=20).then(tokviz.plan("nested_pool", keep=4))
    assert "earlier steps removed some tokens" in said(vlm, cat, plan)


def test_states_from_before_a_merge_in_the_tower_are_not_offered(vlm, cat):
    plan = tokviz.plan("tome", keep=20).then(tokviz.plan("visionzip", keep=12))
    assert "a step inside the vision tower has changed them" in said(vlm, cat, plan)


@pytest.mark.parametrize("name", ["nested_pool", "centre"])
def test_what_needs_a_grid_runs_on_an_image_in_tiles(checkpoint, cat, name):
    vlm = tokviz.load(checkpoint("llava_next"))
    trace = vlm.answer(cat, PROMPT, tokviz.plan(name, keep=45), 2)
    left = np.flatnonzero(np.isin(trace.layout.kind, [0]) & (trace.reduction.fate < 2))
    assert set(trace.layout.tile[left]) == set(range(len(trace.layout.tiles))) or name == "centre"
    if name == "centre":
        x0, y0, x1, y1 = trace.layout.box[left].T
        middle = np.stack([(x0 + x1) / 2, (y0 + y1) / 2], 1)
        assert np.abs(middle - np.array(cat.size) / 2).max() < 0.3 * max(cat.size)
