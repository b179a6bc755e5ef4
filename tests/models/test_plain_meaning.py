"""What a person plainly means is done, else one sentence."""

import io

import numpy as np
import pytest
import torch

import tokviz
from tokviz.capture import Capture
from tokviz.sweeps.question import Question
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


def test_open_files_and_whole_numbers_are_pictures(vlm, cat):
    written, expected = io.BytesIO(), vlm.answer(cat, PROMPT, None, 3).answer
    cat.save(written, "PNG")
    written.seek(0)
    assert vlm.answer(written, PROMPT, None, 3).answer == expected
    assert vlm.answer(np.asarray(cat).astype(np.int64), PROMPT, None, 3).answer == expected
    with pytest.raises(tokviz.InputError, match="whole numbers must hold 0 to 255"):
        vlm.answer(np.full((9, 9, 3), 256), PROMPT, None, 3)
    with pytest.raises(tokviz.InputError):
        vlm.answer(io.StringIO("a text"), PROMPT, None, 3)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "got a NoneType"),
        ("", "got an empty text"),
        (7, "got a int"),
        (__file__, "is a file"),
    ],
)
def test_what_is_no_model_is_one_sentence_without_the_network(given, says):
    with pytest.raises(tokviz.ModelError, match=says):
        tokviz.load(given)


def test_torchs_own_names_of_devices_and_number_types_are_taken(folder):
    info = tokviz.load(folder, dtype=torch.bfloat16, device=torch.device("cpu")).info
    assert (info["dtype"], info["device"]) == ("bfloat16", "cpu")


def test_other_mistakes_of_ones_own_are_one_sentence(vlm, cat, tmp_path):
    with pytest.raises(tokviz.InputError, match="no argument 'prompt'. Did you mean 'prompts'"):
        tokviz.sweep(str(tmp_path), prompt="what?", out=tmp_path / "out")
    with pytest.raises(tokviz.InputError, match="got a list with a str"):
        tokviz.sweep(["a.png"], out=tmp_path / "out")
    with pytest.raises(tokviz.TraceError, match="a trace is a file or bytes, got NoneType"):
        tokviz.open_trace(None)
    with pytest.raises(tokviz.InputError, match="path is empty"):
        vlm.answer("", PROMPT, None, 1)
    with pytest.raises(tokviz.TraceError, match="no such folder"):
        vlm.answer(cat, PROMPT, None, 1).save(tmp_path / "no" / "run.safetensors")
    assert tokviz.METHODS.get("no_such_method") is None
    assert tokviz.METHODS.get("fastv") is tokviz.METHODS["fastv"]
    assert tokviz.plan("fastv", "25 %") == tokviz.plan("fastv", "25%")


@pytest.mark.parametrize(
    ("call", "given", "says"),
    [
        (tokviz.load, {"torch_dtype": "float32"}, "load has no argument 'torch_dtype'.*'dtype'"),
        (tokviz.load, {"load_in_4bit": True}, "Did you mean bits=4"),
        (tokviz.load, {"devise": "cpu"}, "Did you mean 'device'"),
        (tokviz.open_film, {"fps": 2}, "Did you mean 'rate'"),
        (tokviz.diagnose, {"question": PROMPT}, "Did you mean 'prompt'"),
        (Capture, {"atention": True}, "Capture has no argument.*Did you mean 'attention'"),
        (Question, {"image": "a.png"}, "Did you mean 'images'"),
        (tokviz.sweep, {"question": PROMPT}, "Did you mean 'prompts'"),
        (tokviz.sweep, {"budget": 9}, "Did you mean 'budgets'"),
        (tokviz.sweep, {"torch_dtype": "float32"}, "Did you mean 'dtype'"),
    ],
)
def test_old_and_misspelt_arguments_are_told_which_one_is_meant(call, given, says):
    source = (".",) if call is tokviz.sweep else ()
    with pytest.raises(tokviz.InputError, match=says) as raised:
        call(*source, **given)
    assert isinstance(raised.value, TypeError)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"max_tokens": 3}, "answer has no argument 'max_tokens'.*'max_new_tokens'"),
        ({"question": PROMPT}, "Did you mean 'prompt'"),
        ({"method": "fastv", "keep": 9}, r"Did you mean plan=tokviz.plan\('fastv', keep=64\)"),
        ({"mitigation": "pai"}, r"Did you mean plan=tokviz.plan\(mitigation='pai'\)"),
    ],
)
def test_arguments_that_answer_does_not_have(vlm, cat, given, says):
    with pytest.raises(tokviz.InputError, match=says):
        vlm.answer(cat, **given)


def test_arguments_that_an_analysis_does_not_have(vlm, cat):
    with pytest.raises(tokviz.InputError, match="no option 'max_tokens'. Did you mean 'max_new_to"):
        vlm.analyse("attention", cat, PROMPT, max_tokens=3)


def test_one_plan_may_stand_for_one_lane(vlm, cat):
    plan = tokviz.plan("fastervlm", keep=6)
    for given in (plan, [plan], "opera", None):
        *_, views = vlm.stream(cat, PROMPT, given, 1)
        assert len(views) == 1
        assert views[0].trace is not None
    assert len(vlm.time_plans(cat, PROMPT, plan, 1, 1)) == 1


ODD = [7, 2.5, {"a": 1}, b"x", np.arange(3), torch.tensor(2.5), object(), "fastv", "50%"]


@pytest.mark.parametrize("given", ODD, ids=lambda one: type(one).__name__)
def test_what_is_no_plan_question_or_run_is_one_sentence(vlm, cat, given):
    run = vlm.answer(cat, PROMPT, None, 1)
    for call in (
        lambda: list(vlm.stream(cat, PROMPT, given, 1)),
        lambda: list(vlm.in_turn(cat, PROMPT, given, 1)),
        lambda: vlm.time_plans(cat, PROMPT, given, 1, 1),
        lambda: list(vlm.answers(given)),
        lambda: tokviz.analyse("attention", run, runs=given),
        lambda: tokviz.analyse("attention", given),
        lambda: vlm.analyse("leave_word_out", cat, PROMPT, trace=given),
        lambda: run[given],
        lambda: tokviz.MODELS[given if isinstance(given, str) else "no/model"],
    ):
        with pytest.raises((tokviz.InputError, tokviz.MissingSignal)):
            call()
    assert isinstance(given, str) or given not in run


@pytest.mark.parametrize(
    "given",
    [
        {"models": 7}, {"models": ["embedded", None]}, {"methods": [["fastv"]]}, {"prompts": 7},
        {"mitigations": {"pai": 1}}, {"options": "layer=2"}, {"options": [7]}, {"engine": "ray"},
        {"lab": None}, {"limit": "x"}, {"traces": 1.5}, {"budgets": [[9]], "methods": "fastv"},
        {"budgets": 10**300, "methods": "fastv"}, {"source": 7}, {"source": None},
        {"source": np.array(7)}, {"source": torch.tensor(2.5)},
    ],
    ids=str,
)  # fmt: skip
def test_arguments_of_a_sweep_of_another_kind_are_one_sentence(tmp_path, given):
    with pytest.raises(tokviz.InputError):
        tokviz.sweep(**{"source": str(tmp_path), "out": tmp_path / "out", **given})


def test_arguments_of_plots_rounds_and_reports_of_another_kind(vlm, cat):
    run = vlm.answer(cat, PROMPT, None, 1)
    for given in ("x", 2.5, float("nan"), np.arange(2), torch.tensor(2.5)):
        for key in ("layer", "head") if isinstance(given, str) else ("layer", "head", "word"):
            with pytest.raises(tokviz.InputError, match=f"{key} must be a whole number"):
                run.plot("attention", **{key: given})
        with pytest.raises(tokviz.InputError, match="repeats must be 1 to"):
            vlm.time_plans(cat, PROMPT, None, given, 1)
    with pytest.raises(tokviz.ModelError, match="got a int"):
        tokviz.diagnose(7, cat, PROMPT)


def test_an_unknown_model_card_is_told_which_is_meant():
    with pytest.raises(tokviz.InputError, match="Did you mean 'llava-hf/llava-1.5-7b-hf'"):
        tokviz.MODELS["llava-1.5-7b-hf"]


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
