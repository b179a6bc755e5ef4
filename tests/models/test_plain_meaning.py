"""What a person plainly means is done, else one sentence."""

import numpy as np
import pytest
import torch

import tokviz
from tokviz.capture import Capture
from tokviz.sweeps.setting import settings

PROMPT = "what is this?"


def test_a_list_of_plans_is_their_composition(vlm, cat):
    first, second = tokviz.plan("fastervlm", keep="50%"), tokviz.plan("fastv", keep=np.int64(6))
    listed = vlm.answer(cat, PROMPT, [first, second], 3, "nothing")
    assert [stage.reduction.m for stage in listed.stages] == [18, 6]
    assert listed.answer == vlm.answer(cat, PROMPT, first.then(second), 3).answer


def test_a_method_without_a_budget_is_answered_with_the_call(vlm, cat):
    with pytest.raises(tokviz.InputError, match=r"tokviz.plan\('fastervlm', keep=64\)"):
        vlm.answer(cat, PROMPT, "fastervlm")
    with pytest.raises(tokviz.InputError, match="Did you mean 'fastervlm'"):
        vlm.answer(cat, PROMPT, "fastrvlm")
    with pytest.raises(tokviz.InputError, match="a plan must be made by tokviz.plan"):
        vlm.answer(cat, PROMPT, 36)
    assert vlm.answer(cat, PROMPT, "opera", 3).mitigation.name == "opera"


def test_capture_in_words(vlm, cat):
    assert Capture.of("all") == Capture.everything()
    assert Capture.of(None) == Capture()
    trace = vlm.answer(cat, PROMPT, None, 2, "all")
    assert {"flow", "lens_ids", "control_prob"} <= set(trace)
    assert trace.keys() == tuple(trace) == tuple(trace.arrays)
    assert f"{len(trace.arrays)} arrays: {next(iter(trace))}, " in repr(trace)
    with pytest.raises(tokviz.InputError, match="'all' or 'nothing'"):
        vlm.answer(cat, PROMPT, None, 2, "everything else")


def test_a_torch_tensor_is_a_picture(vlm, cat):
    pixels = torch.tensor(np.asarray(cat)).permute(2, 0, 1)
    expected = vlm.answer(cat, PROMPT, None, 3).answer
    for tensor in (pixels, pixels[None].float() / 255, pixels.permute(1, 2, 0)):
        assert vlm.answer(tensor, PROMPT, None, 3).answer == expected


def test_one_value_may_stand_without_a_list():
    alone = settings("fastervlm", 36, {}, "pai")
    assert alone == settings(["fastervlm"], ["36"], {}, ["pai"])
    assert settings(["fastv"], np.array([4, 9]))[1].budget == "4"


@pytest.mark.parametrize("name", ["pai", "cmai"])
def test_a_first_layer_that_the_model_does_not_have_is_refused(vlm, cat, name):
    """It once edited nothing, and the trace's record said that it had been used."""
    chosen = tokviz.plan(mitigation=name, first_layer=40)
    with pytest.raises(tokviz.InputError, match="first_layer must be 0 to 3 here"):
        vlm.answer(cat, PROMPT, chosen, 2)


def test_a_window_wider_than_the_model_is_refused(vlm, cat):
    with pytest.raises(tokviz.InputError, match="window must be 1 to 4 here"):
        vlm.analyse("knockout", cat, PROMPT, window=9, max_new_tokens=2)
