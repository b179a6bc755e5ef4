"""Methods for films on models: real frames, shares per frame, and one picture refused."""

import numpy as np
import pytest

import tokviz
from tests.films import film_of, noise_film
from tokviz.models.runs.asked_frames import letter_tokens, yes
from tokviz.reduction import METHODS
from tokviz.trace.layout import PATCH

FILM = sorted(name for name in METHODS if METHODS[name].frames)


@pytest.mark.parametrize("name", FILM)
@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava_onevision", "llava"])
def test_a_film_loses_tokens_for_real(checkpoint, family, name):
    vlm = tokviz.load(checkpoint(family))
    film = noise_film(6)
    full = vlm.answer(film, "what?", None, 2)
    trace = vlm.answer(film, "what?", tokviz.plan(name, keep="50%"), 2)
    if METHODS[name].adaptive:
        assert 0 < trace.reduction.m <= full.n / 2 + 1
    else:
        assert trace.reduction.m == pytest.approx(full.n / 2, abs=1)
    assert trace.kv_lengths[0] < full.kv_lengths[0]
    assert any("all images together" in note for note in trace.notes)


def test_evs_drops_still_frames_and_keeps_the_moving_one(checkpoint):
    vlm = tokviz.load(checkpoint("internvl"))
    first, other = noise_film(2, (48, 48)).frames
    still = vlm.answer(film_of([first, first, first, other]), "?", tokviz.plan("evs", keep=18), 2)
    kept = np.bincount(still.layout.image[still.reduction.kept], minlength=4)
    assert kept.tolist() == [9, 0, 0, 9]


@pytest.mark.parametrize("name", FILM)
def test_one_picture_is_refused_in_a_sentence(vlm, cat, name):
    with pytest.raises(tokviz.InputError, match="compares the frames of a film.*one picture"):
        vlm.answer(cat, "what?", tokviz.plan(name, keep=9), 2)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava_onevision"])
def test_quota_asks_the_model_about_each_frame_alone(checkpoint, family):
    vlm = tokviz.load(checkpoint(family))
    film = noise_film(4)
    trace = vlm.answer(film, "what?", tokviz.plan("quota", keep="50%"), 2)
    score = trace.stages[0].reduction.score
    first = vlm.prepare(film, "what?")
    letters = letter_tokens(vlm)
    alone = [yes(vlm, image, "what?", letters) for image in first.asked.images]
    shown = trace.layout.kind == PATCH  # of newlines the decision has no score
    assert score[shown] == pytest.approx(np.array(alone)[trace.layout.image][shown], abs=1e-5)
    assert 0 < trace.reduction.m <= trace.n / 2
    assert any("a forward each" in note for note in trace.notes)
