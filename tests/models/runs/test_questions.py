"""Many questions in one call, and whether a stored run and a picture belong together."""

import numpy as np
import pytest
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
