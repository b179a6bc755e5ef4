"""Many questions in one call, and whether a stored run and a picture belong together."""

import numpy as np
import pytest
import torch
from PIL import Image

import tokviz
from tests.models.test_promises import PROMPT
from tokviz.errors import InputError, ModelError
from tokviz.models.runs import questions
from tokviz.sweeps.question import Question


def noise(seed, size=(96, 96)):
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((12, 12)).resize(size)


def test_neighbours_about_one_picture_share_its_encoding_and_answer_as_alone(vlm, monkeypatch):
    encoded = []
    encode = questions.encode
    monkeypatch.setattr(questions, "encode", lambda *a: encoded.append(1) or encode(*a))
    one, other = noise(0), noise(1)
    asked = [(one, "what?"), (one, "is it?"), (other, "what?"), ([one, other], "which?")]
    traces = list(vlm.answers(asked, max_new_tokens=3))
    assert len(encoded) == 3
    for (images, prompt), trace in zip(asked, traces, strict=True):
        alone = vlm.answer(images, prompt, None, 3)
        assert (trace.prompt, trace.answer) == (alone.prompt, alone.answer)
        assert np.array_equal(trace["answer_prob"], alone["answer_prob"])


def test_every_form_of_a_question_is_taken_and_runs_come_one_at_a_time(vlm, tmp_path):
    noise(0).save(tmp_path / "a.png")
    path = str(tmp_path / "a.png")
    forms = [
        (path, PROMPT), {"image": path, "prompt": PROMPT}, {"images": [path], "prompt": PROMPT},
        Question((path,), PROMPT),
    ]  # fmt: skip
    plan = tokviz.plan("norm", keep=8)
    found = vlm.answers(iter(forms), plan, "1")
    assert next(found).reduction.m == 8
    assert len({trace.answer for trace in found}) == 1


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("what?", "question 2: a question is a pair .image, prompt., a mapping .* got str"),
        (("no.png", "what?"), "question 2: there is no file 'no.png'"),
        ((noise(0), ""), "question 2: "),
    ],
)
def test_a_question_that_cannot_be_asked_is_named_by_its_number(vlm, question, says):
    found = vlm.answers([(noise(0), "what?"), question], max_new_tokens=1)
    assert next(found).t == 1
    with pytest.raises(InputError, match=says):
        next(found)


def test_a_bar_shows_how_far_it_is(vlm, capsys):
    list(vlm.answers([(noise(0), "what?")], max_new_tokens=1, progress=True))
    assert "1/1" in capsys.readouterr().err
    list(vlm.answers([(noise(0), "what?")], max_new_tokens=1))
    assert capsys.readouterr().err == ""


@pytest.fixture(scope="module")
def stored(vlm, tmp_path_factory):
    file = tmp_path_factory.mktemp("stored") / "run.safetensors"
    vlm.answer(noise(3), PROMPT, None, 2).save(file)
    return tokviz.open_trace(file)


def test_a_stored_run_goes_with_its_own_picture_alone(vlm, stored):
    """Another picture of this size gives the same prompt, and once gave numbers in silence."""
    assert vlm.analyse("knockout", noise(3), trace=stored).values.size
    spot = noise(3)
    spot.paste((255, 0, 0), (10, 10, 40, 40))
    for other in (noise(4), Image.new("RGB", (96, 96)), spot):
        with pytest.raises(InputError, match="not the one that the trace was made with"):
            vlm.analyse("knockout", other, trace=stored)
    with pytest.raises(InputError, match="made with pictures of 96 × 96 pixels, got 48 × 96"):
        vlm.further_runs(noise(3, (48, 96)), PROMPT, stored)


def pure_noise(seed):
    """Noise of single pixels: its mean colours are the same everywhere, whatever the seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (640, 640, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_pictures_with_the_same_mean_colours_are_told_apart(vlm):
    trace = vlm.answer(pure_noise(1), PROMPT, None, 2)
    assert vlm.analyse("knockout", pure_noise(1), trace=trace).values.size
    with pytest.raises(InputError, match="not the one that the trace was made with"):
        vlm.analyse("knockout", pure_noise(2), trace=trace)


def test_a_picture_that_an_analysis_does_not_need_is_compared_too(vlm, stored):
    assert vlm.analyse("tam", noise(3), trace=stored).values.size
    with pytest.raises(InputError, match="not the one that the trace was made with"):
        vlm.analyse("tam", noise(4), trace=stored)
    with pytest.raises(InputError, match="another prompt"):
        vlm.analyse("tam", noise(3), "what else?", trace=stored)


def test_the_same_pixels_in_another_file_are_the_same_picture(vlm, stored, tmp_path):
    noise(3).save(tmp_path / "again.png")
    again = vlm.analyse("knockout", tmp_path / "again.png", trace=stored)
    assert np.array_equal(again.values, vlm.analyse("knockout", noise(3), trace=stored).values)


def other_tower(vlm):
    with torch.no_grad():
        vlm.family.tower_layers(vlm.model)[0].mlp.fc1.weight.mul_(1.5)


def other_language_model(vlm):
    with torch.no_grad():
        vlm.family.decoder(vlm.model).layers[-1].mlp.down_proj.weight.normal_(0, 0.3)


def other_means(vlm):
    vlm.processor.image_processor.image_mean = [0.1, 0.1, 0.1]


def other_resizing(vlm):
    vlm.processor.image_processor.resample = 0  # the nearest pixel


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_tower, "what the vision tower makes of the same picture differs by"),
        (other_means, "other settings of its processor: what the vision tower"),
        (other_resizing, "other settings of its processor: what the vision tower"),
        (other_language_model, "other weights: the probabilities of its answer's tokens differ"),
    ],
)
def test_a_stored_run_goes_with_its_own_model_alone(folder, stored, change, says):
    """Of the same class, shape and tokenizer; the prompt's ids are the same, too."""
    other = tokviz.load(folder)
    assert other.analyse("knockout", noise(3), trace=stored).values.size
    change(other)
    with pytest.raises(InputError, match=says):
        other.analyse("knockout", noise(3), trace=stored)


def test_a_model_of_another_shape_is_named_before_it_runs(checkpoint, stored):
    other = tokviz.load(checkpoint("llava_onevision"))
    with pytest.raises(InputError, match="the trace was made with another model: .*, with"):
        other.analyse("tam", noise(3), trace=stored)


@pytest.mark.parametrize("method", ["tome", "fastv", "snapkv"])
def test_reduced_runs_go_with_their_picture_and_model(checkpoint, method):
    """Their tower states, where a trace holds them, are those of the whole picture."""
    vlm = tokviz.load(checkpoint("qwen2_5_vl"))
    trace = vlm.answer(noise(3), PROMPT, tokviz.plan(method, keep="50%"), 2)
    assert vlm.analyse("knockout", noise(3), trace=trace).values.size


def test_a_run_in_bfloat16_goes_with_the_model_in_float32(vlm, folder):
    trace = tokviz.load(folder, dtype="bfloat16").answer(noise(3), PROMPT, None, 3)
    assert vlm.analyse("knockout", noise(3), trace=trace).values.size


def test_its_jpeg_is_its_own_picture(vlm, stored, tmp_path):
    noise(3).save(tmp_path / "again.jpg", quality=70)
    assert vlm.analyse("knockout", tmp_path / "again.jpg", trace=stored).values.size


@pytest.mark.parametrize("given", ["2", np.int64(2), 2.0])
def test_a_length_is_taken_where_its_meaning_is_plain(vlm, given):
    assert vlm.answer(noise(0), "what?", max_new_tokens=given).t == 2


@pytest.mark.parametrize("given", [0, "two", 2.5, True, None])
def test_a_length_that_is_none_is_one_sentence(vlm, given):
    with pytest.raises(InputError, match="max_new_tokens must be 1 to 1024, got"):
        vlm.answer(noise(0), "what?", max_new_tokens=given)


def test_near_names_are_guessed(tmp_path):
    with pytest.raises(ModelError, match="no model of this name. Did you mean 'embedded'"):
        tokviz.load("embeded")
    with pytest.raises(AttributeError, match="Did you mean 'diagnose'"):
        _ = tokviz.diagnos
    with pytest.raises(InputError, match="an analysis reads a trace, got a str"):
        tokviz.analyse("attention", "run.safetensors")
    with pytest.raises(InputError, match="'.' is a folder"):
        tokviz.images.open_image(".")


def test_a_folder_is_no_place_for_a_trace(stored, tmp_path):
    for place in (".", tmp_path):
        with pytest.raises(tokviz.TraceError, match="cannot be written to .* it is a folder"):
            stored.save(place)
