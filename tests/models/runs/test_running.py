"""Lanes side by side, several users, several images, stops and bad budgets."""

import itertools
import threading

import numpy as np
import pytest
from PIL import Image

import tokviz
from tokviz.capture import Capture
from tokviz.errors import MissingSignal
from tokviz.matrix import Reduction
from tokviz.models import prepared
from tokviz.models.before import plan_steps as travel
from tokviz.models.runs.run import Run
from tokviz.plans import Plan, Step, chosen

PROMPT = "what is this?"


def last(stream):
    *_, lanes = stream
    return lanes


def test_lanes_together_give_what_each_gives_alone(vlm, cat):
    plans = [None, tokviz.plan("fastervlm", keep=9), tokviz.plan("fastv", keep=9)]
    lanes = last(vlm.stream(cat, PROMPT, plans, 6, together_after=None))
    for lane, plan in zip(lanes, plans, strict=True):
        alone = vlm.answer(cat, PROMPT, plan, 6)
        assert lane.trace["answer_ids"].tolist() == alone["answer_ids"].tolist()
        assert np.array_equal(lane.trace["attention"], alone["attention"])
        assert lane.trace.kv_bytes == alone.kv_bytes


def test_lanes_in_turn_give_the_same_and_a_stop_leaves_out_the_rest(vlm, cat):
    plans = [None, *(tokviz.plan("fastervlm", keep=k) for k in (36, 20, 12, 9, 6, 4, 3, 2, 1))]
    views = last(vlm.in_turn(cat, PROMPT, plans, 3))
    assert [view.visual_tokens for view in views] == [36, 36, 20, 12, 9, 6, 4, 3, 2, 1]
    alone = vlm.answer(cat, PROMPT, plans[4], 3)
    assert np.array_equal(views[4].trace["attention"], alone["attention"])
    stop = threading.Event()
    for views in vlm.in_turn(cat, PROMPT, plans, 3, stop=stop):
        if views[1].done:
            stop.set()
    assert [view.trace is not None for view in views] == [True, True] + 8 * [False]


def test_the_answer_goes_on_from_a_forced_word(vlm, cat):
    free = vlm.answer(cat, PROMPT, None, 5)
    first, second = free["answer_ids"][:2].tolist()
    same = vlm.answer(cat, PROMPT, Plan(forced=(first, second)), 5)
    assert np.array_equal(same["answer_ids"], free["answer_ids"])
    other = int(free["candidate_ids"][1, 1])
    forced = vlm.answer(cat, PROMPT, Plan(forced=(first, other)), 5)
    assert forced["answer_ids"][:2].tolist() == [first, other]
    assert forced["answer_prob"][1] == pytest.approx(free["candidate_prob"][1, 1], abs=1e-5)
    assert "2 tokens were forced" in " ".join(forced.notes)
    with pytest.raises(tokviz.InputError, match="forced tokens must be"):
        vlm.answer(cat, PROMPT, Plan(forced=(10**9,)), 5)


def test_a_token_that_ends_the_answer_cannot_be_forced(vlm, cat):
    end = vlm.tokenizer.eos_token_id
    with pytest.raises(tokviz.InputError, match=f"and not end the answer, got {end}"):
        vlm.answer(cat, PROMPT, Plan(forced=(end,)), 5)


def test_a_lane_that_cannot_run_says_why_and_the_others_go_on(vlm, cat):
    plans = [None, tokviz.plan("fastervlm", keep=999)]
    full, bad = last(vlm.stream(cat, PROMPT, plans, 4))
    assert full.trace is not None
    assert full.error is None
    assert bad.trace is None
    assert bad.error == "keep must be 1 to 36 visual tokens, got 999."


def test_a_stop_ends_all_lanes_with_what_they_have(vlm, cat):
    stop = threading.Event()
    for count, views in enumerate(vlm.stream(cat, PROMPT, [None, None], 50, stop=stop)):
        lanes = views
        if count == 3:
            stop.set()
    assert all(lane.done and lane.trace is not None and lane.trace.t < 5 for lane in lanes)


@pytest.mark.parametrize("keep", [0, -1, 37, 2.5, "many", True, float("nan")])
def test_a_budget_out_of_range_is_refused_in_words(vlm, cat, keep):
    with pytest.raises(tokviz.InputError, match="keep must be"):
        vlm.answer(cat, PROMPT, tokviz.plan("fastervlm", keep=keep), 4)


def test_two_images_share_the_budget_and_keep_their_own_tokens(vlm, cat):
    trace = vlm.answer([cat, cat.rotate(180)], PROMPT, tokviz.plan("divprune", keep=10), 4)
    assert trace.n == 72
    assert np.bincount(trace.layout.image[trace.reduction.kept]).tolist() == [5, 5]
    assert any("each image" in note for note in trace.notes)


def test_examples_and_the_question_of_several_images_are_told_apart(vlm, cat):
    """CATP ranks examples' tokens and those of the last image apart, each keeping its share."""
    both = tokviz.plan("catp_stage2", keep=30)
    trace = vlm.answer([cat, cat.rotate(90), cat.rotate(180)], PROMPT, both, 4)
    reduction = trace.stages[0].reduction
    assert reduction.roles["query image"].tolist() == list(range(72, 108))
    assert (reduction.kept >= 72).sum() == 10
    assert not any("last prompt row" in note for note in trace.notes)


def test_two_images_through_the_tower_method(vlm, cat):
    trace = vlm.answer([cat, cat.rotate(180)], PROMPT, tokviz.plan("tome", keep=30), 4)
    assert trace.reduction.m == 30
    group = trace.reduction.group
    image = trace.layout.image
    for row in range(30):
        assert len(set(image[group == row].tolist())) == 1


def test_after_the_tower_its_last_layer_has_the_attention_to_decide_from(vlm, cat):
    """Layers before the last stage looked at more tokens than are left: they are not served."""
    plan = Plan((Step("tome", 20), Step("fastervlm", 9, {"layer": 2})))
    trace = vlm.answer(cat, PROMPT, plan, 1)
    assert [stage.reduction.m for stage in trace.stages] == [20, 9]
    early = Plan((Step("tome", 20), Step("fastervlm", 9, {"layer": 0})))
    with pytest.raises(MissingSignal, match="not given for layer 0"):
        vlm.answer(cat, PROMPT, early, 1)


def test_deciding_inside_the_tower_is_not_counted_as_encoding_too(vlm, cat, monkeypatch):
    """The clock says that the tower, decisions included, took ten seconds."""
    clock = itertools.count(0, 10)
    monkeypatch.setattr(travel, "now", lambda device: float(next(clock)))
    prepared = vlm.prepare(cat, PROMPT)
    plan = tokviz.plan("tome", keep=12)
    with vlm.guarded():
        shared = vlm.encode(prepared, [plan], Capture.nothing())
        run = Run(vlm, prepared, shared, {}, plan, Capture.nothing())
        run.start()
    (stage,) = run.prefill_input.records
    assert stage.seconds > 0
    passed = run.prefill_input.encode_seconds - shared.entered_seconds
    assert passed + stage.seconds == pytest.approx(10)


def test_a_plan_over_all_three_places_composes_into_one_matrix(vlm, cat):
    plan = (
        tokviz.plan("tome", keep=24)
        .then(tokviz.plan("fastervlm", keep=16))
        .then(tokviz.plan("fastv", keep=8))
    )
    trace = vlm.answer(cat, PROMPT, plan, 4)
    assert [stage.reduction.m for stage in trace.stages] == [24, 16, 8]
    assert trace.reduction.m == 8
    product = trace.stages[2].reduction.matrix() @ trace.stages[1].reduction.matrix()
    product = product @ trace.stages[0].reduction.matrix()
    assert np.allclose(trace.reduction.matrix(), product, atol=1e-6)
    assert set(trace.went_at[trace.reduction.fate == 2]) <= {0, 1, 2}
    full = vlm.answer(cat, PROMPT, None, 4)
    assert trace.kv_lengths[-1] == full.kv_lengths[-1] - 28 - (full.t - trace.t)


def test_two_selections_before_the_model_choose_from_what_is_left(vlm, cat):
    plan = tokviz.plan("fastervlm", keep=18).then(tokviz.plan("divprune", keep=6))
    trace = vlm.answer(cat, PROMPT, plan, 4)
    first, second = (stage.reduction for stage in trace.stages)
    assert set(trace.reduction.kept) <= set(first.kept)
    assert second.n == 18
    assert trace.reduction.m == 6


def test_a_choice_by_hand_is_applied_as_it_is(vlm, cat):
    trace = vlm.answer(cat, PROMPT, chosen(Reduction.select([3, 7, 20], 36)), 4)
    assert trace.reduction.kept.tolist() == [3, 7, 20]
    with pytest.raises(tokviz.InputError, match="this choice is for 9 tokens"):
        vlm.answer(cat, PROMPT, chosen(Reduction.select([3], 9)), 4)


def test_places_out_of_order_are_refused():
    with pytest.raises(tokviz.InputError, match="steps of a plan must be in order"):
        tokviz.plan("fastv", keep=9).then(tokviz.plan("fastervlm", keep=5))
    assert Plan(()).label == "All tokens"


def test_a_trace_of_a_reduced_run_survives_saving(vlm, cat, tmp_path):
    trace = vlm.answer(cat, PROMPT, tokviz.plan("visionzip", keep=12), 4)
    trace.save(tmp_path / "run.safetensors")
    again = tokviz.open_trace(tmp_path / "run.safetensors")
    assert again.answer == trace.answer
    assert np.array_equal(again.reduction.matrix(), trace.reduction.matrix())
    assert np.array_equal(again["attention"], trace["attention"])
    assert again.images[0] == trace.images[0]


@pytest.mark.parametrize("size", [(1, 1), (2, 150), (700, 20)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "P", "I;16", "LA"])
def test_odd_pictures_are_answered_like_any_other(vlm, size, mode):
    trace = vlm.answer(Image.new(mode, size), PROMPT, tokviz.plan("fastervlm", keep=9), 2)
    assert trace.layout.sizes == (size,)
    assert trace.reduction.m == 9


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 100_000, "<image> again", "\x00\x07"])
def test_a_prompt_that_cannot_be_used_is_refused_and_the_next_one_works(vlm, cat, prompt):
    with pytest.raises(tokviz.InputError, match="the prompt"):
        vlm.answer(cat, prompt, None, 2)
    assert vlm.answer(cat, "<script>alert(1)</script>", None, 2).prompt.startswith("<script>")


def test_the_picture_is_encoded_once_for_all_lanes_and_the_page(vlm, cat, monkeypatch):
    made = []
    encoded = prepared.preview_jpeg
    monkeypatch.setattr(
        prepared, "preview_jpeg", lambda *given: made.append(given) or encoded(*given)
    )
    views = last(vlm.stream(cat, PROMPT, [None, tokviz.plan("random", keep=4)], 3))
    assert len(made) == 1
    assert views[0].previews == views[0].trace.images == views[1].trace.images
