"""The smaller picture as a baseline: the processor really makes fewer tokens of it."""

import re

import numpy as np
import pytest
from PIL import Image

import tokviz
from tokviz.errors import InputError
from tokviz.models.runs.smaller_picture import resized
from tokviz.plans import Plan
from tokviz.trace.export import answer_record
from tokviz.view.run_names import is_own_answer

PROMPT = "what is this?"


@pytest.fixture(scope="module", params=["qwen2_5_vl", "llava_onevision"])
def any_size(request, checkpoint):
    """Models that make fewer tokens of a smaller picture: in one grid, and in tiles."""
    return tokviz.load(checkpoint(request.param))


def test_the_answer_is_that_about_the_picture_made_smaller_by_hand(any_size, cat):
    full = any_size.answer(cat, PROMPT, None, 3)
    trace = any_size.answer(cat, PROMPT, tokviz.plan("downsample", keep="50%"), 3)
    assert trace.n <= full.n / 2
    note = next(note for note in trace.notes if "made smaller" in note)
    size = tuple(map(int, re.findall(r"(\d+) × (\d+) pixels", note)[0]))
    by_hand = any_size.answer(cat.resize(size, Image.Resampling.BICUBIC), PROMPT, None, 3)
    assert np.array_equal(trace["answer_prob"], by_hand["answer_prob"])
    assert trace.kv_lengths == by_hand.kv_lengths
    assert trace.kv_bytes < full.kv_bytes
    assert trace.model["prefill_share"]["visual_tokens"] < 0.6
    assert trace.timings["decide"] > 0
    assert (trace.model["picture"], trace.whole_n) == ("downsample", full.n)
    assert answer_record(trace)["visual_tokens"]["total"] == full.n
    assert not is_own_answer(trace)
    assert is_own_answer(full)
    forced = any_size.answer(cat, PROMPT, Plan((), forced=(full["answer_ids"][1],)), 2)
    assert forced.model["forced"] == 1
    assert not is_own_answer(forced)


def test_it_is_drawn_over_the_original_picture(any_size, cat):
    trace = any_size.answer(cat, PROMPT, tokviz.plan("downsample", keep="50%"), 1)
    assert trace.layout.sizes == (cat.size,)
    box = trace.layout.box[trace.layout.kind == 0]
    assert box[:, :2].min() >= -0.2 * cat.width  # tiles with padding reach outside it
    assert np.abs(box[:, 2].max() - cat.width) < cat.width * 0.2
    assert np.abs(box[:, 3].max() - cat.height) < cat.height * 0.2
    assert trace.images[0] == any_size.answer(cat, PROMPT, None, 1).images[0]


def test_keeping_every_token_leaves_the_picture_as_it_is(any_size, cat):
    full = any_size.answer(cat, PROMPT, None, 2)
    trace = any_size.answer(cat, PROMPT, tokviz.plan("downsample", keep=full.n), 2)
    assert np.array_equal(trace["answer_prob"], full["answer_prob"])
    assert trace.n == full.n


def test_it_is_a_lane_beside_others_and_other_methods_follow(any_size, cat):
    small = tokviz.plan("downsample", keep="50%")
    plans = [None, small, small.then(tokviz.plan("divprune", keep=4))]
    *_, lanes = any_size.stream(cat, PROMPT, plans, 2)
    assert [lane.error for lane in lanes] == [None] * 3
    assert len({lane.total_visual_tokens for lane in lanes}) == 1
    assert lanes[0].visual_tokens / 2 >= lanes[1].visual_tokens > lanes[2].visual_tokens


def test_several_pictures_shrink_together_but_a_tiny_one_stays(checkpoint, cat):
    vlm = tokviz.load(checkpoint("qwen2_5_vl"))
    tiny = cat.resize((40, 30))
    assert resized(tiny, 0.1).size == (37, 28)
    full = vlm.answer([cat, tiny], PROMPT, None, 1)
    trace = vlm.answer([cat, tiny], PROMPT, tokviz.plan("downsample", keep="60%"), 1)
    assert trace.n <= 0.6 * full.n
    assert trace.layout.sizes == (cat.size, tiny.size)
    assert "first picture" in " ".join(trace.notes)


def test_a_budget_that_no_size_reaches_is_refused_in_words(any_size, cat):
    with pytest.raises(InputError, match="leave 1 visual token here.*at least [0-9]+ of"):
        any_size.answer(cat, PROMPT, tokviz.plan("downsample", keep=1), 1)


def test_arrays_cannot_decide_it():
    with pytest.raises(InputError, match=r"tokviz.plan\('downsample', keep=...\)"):
        tokviz.reduce("downsample", {"index": range(9)}, 4)
