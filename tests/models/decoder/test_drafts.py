"""A lane reads what another lane wrote all at once, and keeps only what it writes itself."""

import numpy as np
import pytest

import tokviz
from tests.models.decoder.test_batch import assert_same, last
from tokviz.models.decoder import lane_batch
from tokviz.models.decoder.drafts import same_again, same_so_far
from tokviz.models.decoder.lane_batch import Batch
from tokviz.models.runs import next_steps
from tokviz.plans import Plan

PROMPT = "what is this?"
GROUP = 12
"""Tokens of the drafts in tests that count them."""


@pytest.fixture
def prepared(vlm, cat):
    """The question, ready for the model."""
    with vlm.guarded():
        return vlm.prepare(cat, PROMPT)


@pytest.fixture
def steps(monkeypatch):
    """What every shared step read and found right: per lane (tokens of the draft, words)."""
    made, step = [], Batch.step

    def watched(batch, lanes, drafts):
        found = step(batch, lanes, drafts)
        made.append([(len(d.tokens), len(f)) for d, f in zip(drafts, found, strict=True)])
        return found

    monkeypatch.setattr(Batch, "step", watched)
    return made


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Lanes wait for whole groups, however slow the machine is."""
    monkeypatch.setattr(next_steps, "PATIENCE", float("inf"))


@pytest.fixture
def short(monkeypatch):
    """Drafts of GROUP tokens, so that a short answer has several."""
    monkeypatch.setattr(next_steps, "LONGEST", GROUP)


@pytest.fixture
def endless(vlm, monkeypatch):
    """A model that never ends its answer."""
    monkeypatch.setattr(vlm.model.generation_config, "eos_token_id", None)


def written(vlm, prepared, plan, new):
    """The tokens of one answer written alone."""
    (lane,) = last(vlm.stream_prepared(prepared, [plan], new))
    return lane.trace["answer_ids"].tolist()


def test_lanes_that_agree_read_groups_of_words_and_the_first_one_stays_exact(
    vlm, prepared, steps, short, endless
):
    plans = [None, Plan(()), None]
    lanes = last(vlm.stream_prepared(prepared, plans, 30, together_after=2))
    assert steps[0] == [(GROUP, GROUP + 1)] * 2
    assert sum(words for step in steps for _, words in step) == 2 * (30 - 2)
    assert len(steps) == 3
    (alone,) = last(vlm.stream_prepared(prepared, [None], 30))
    for name in ("answer_prob", "attention", "attention_heads", "readout"):
        assert np.array_equal(lanes[0].trace[name], alone.trace[name])
    assert_same(lanes, [alone] * 3)
    assert "shared" not in lanes[0].timings


def test_a_lane_keeps_only_the_words_that_it_writes_itself(vlm, prepared, steps, endless):
    """Drafts that go wrong in the middle, by forced words of the lane that is ahead."""
    own = written(vlm, prepared, None, 20)
    other = next(i for i in range(5, 40) if i not in own)
    plans = [Plan((), forced=(*own[:7], other)), None, tokviz.plan("divprune", keep=20)]
    lanes = last(vlm.stream_prepared(prepared, plans, 20, together_after=1))
    assert any(0 < words <= draft for step in steps for draft, words in step)
    for lane, plan in zip(lanes, plans, strict=True):
        (alone,) = last(vlm.stream_prepared(prepared, [plan], 20))
        assert_same([lane], [alone])


def test_an_end_inside_a_draft_ends_the_lane(vlm, prepared, steps, monkeypatch, endless):
    own = written(vlm, prepared, None, 12)
    new = next(i for i, token in enumerate(own) if i > 3 and token not in own[:i])
    forced = (*own[:new], *own[: 12 - new])
    monkeypatch.setattr(vlm.model.generation_config, "eos_token_id", own[new])
    forced = tuple(token for token in forced if token != own[new])
    plans = [Plan((), forced=forced), None]
    lanes = last(vlm.stream_prepared(prepared, plans, 12, together_after=1))
    assert lanes[1].trace["answer_ids"].tolist() == own[:new]
    assert lanes[1].trace.finish == "end"


def test_forced_words_are_read_as_a_draft(vlm, prepared, steps, endless):
    forced = tuple(range(20, 34))
    plans = [None, Plan((), forced=forced)]
    lanes = last(vlm.stream_prepared(prepared, plans, 16, together_after=1))
    assert lanes[1].trace["answer_ids"].tolist()[:14] == list(forced)
    (alone,) = last(vlm.stream_prepared(prepared, plans[1:], 16))
    assert_same(lanes[1:], [alone])
    assert max(draft for step in steps for draft, _ in step) == 13


def test_rules_judge_a_draft_by_the_words_before_it(
    vlm, prepared, steps, short, endless, monkeypatch
):
    """A repetition penalty makes each choice depend on the whole answer so far."""
    monkeypatch.setattr(vlm.model.generation_config, "repetition_penalty", 1.7)
    lanes = last(vlm.stream_prepared(prepared, [None, None], 24, together_after=1))
    (alone,) = last(vlm.stream_prepared(prepared, [None], 24))
    assert_same(lanes, [alone, alone])
    assert steps[0] == [(GROUP, GROUP + 1)]


def test_methods_inside_the_model_and_on_the_cache_read_drafts(vlm, prepared, steps, endless):
    names = ("fastv", "p_mod", "snapkv", "streamingllm", "gemfilter")
    plans = [None, *(tokviz.plan(name, keep=30) for name in names)]
    lanes = last(vlm.stream_prepared(prepared, plans, 20, together_after=1))
    assert any(words > 1 for step in steps for _, words in step)
    for lane, plan in zip(lanes, plans, strict=True):
        (alone,) = last(vlm.stream_prepared(prepared, [plan], 20))
        assert_same([lane], [alone])


def test_a_stop_and_the_longest_answer_cut_no_word_off(vlm, prepared, endless):
    for new in (9, 10, 11, 17):
        lanes = last(vlm.stream_prepared(prepared, [None, None], new, together_after=1))
        assert [lane.trace.t for lane in lanes] == [new, new]


def test_a_slow_model_shows_each_lane_before_a_group_is_full(
    vlm, prepared, steps, endless, monkeypatch
):
    monkeypatch.setattr(next_steps, "PATIENCE", 0)
    last(vlm.stream_prepared(prepared, [None, None], 12, together_after=1))
    assert [draft for step in steps for draft, _ in step][:3] == [1, 1, 1]


def test_drafts_are_cut_where_their_attention_rows_would_fill_the_memory(
    vlm, prepared, steps, endless, monkeypatch
):
    text = vlm.model.config.get_text_config()
    columns = 2 * len(prepared.asked.prompt_ids) + 60
    row = 4 * text.num_hidden_layers * text.num_attention_heads * columns
    monkeypatch.setattr(lane_batch, "MOST_BYTES", 10 * row)
    lanes = last(vlm.stream_prepared(prepared, [None] * 3, 30, together_after=1))
    assert 1 < max(words for step in steps for _, words in step) < GROUP
    (alone,) = last(vlm.stream_prepared(prepared, [None], 30))
    assert_same(lanes, [alone] * 3)


# -- drafts alone ---------------------------------------------------------------------------------


def test_what_the_longest_equal_answer_says_next():
    assert same_so_far([1, 2], [[1, 2, 3], [1, 2, 3, 4], [1, 9, 9, 9, 9]]) == [3, 4]
    assert not same_so_far([1, 2], [[1], [1, 3, 4]])
    assert same_so_far([], [[5]]) == [5]


def test_after_a_difference_the_last_two_words_say_where_to_go_on():
    other = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert same_again([7, 7, 2, 3], [other]) == [4, 5, 6, 7]
    assert same_again([9, 2, 3], [[2, 3, 1, 2, 3, 8]]) == [8]
    assert not same_again([3], [other])
    assert not same_again([1, 8, 9], [other])  # nothing follows
