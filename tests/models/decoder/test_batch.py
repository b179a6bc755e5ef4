"""Lanes that step in one forward write what each writes in its own turn."""

import gc
import threading
import weakref

import numpy as np
import pytest

import tokviz
from tests.models.test_promises import pictures
from tokviz.matrix import Reduction
from tokviz.models.decoder.lane_batch import Batch
from tokviz.models.families.layer_kinds import layers_without_attention
from tokviz.models.runs import next_steps
from tokviz.plans import Plan, chosen

pytestmark = pytest.mark.matrix

PROMPT = "what is this?"
NEW = 5


def plans_of(n):
    """Plans of every place and position policy, for n visual tokens."""
    keep = max(n // 3, 2)
    return [
        None,
        chosen(Reduction.identity(n)),
        tokviz.plan("tome", keep=keep),
        tokviz.plan("divprune", keep=keep, positions="keep"),
        tokviz.plan("divprune", keep=keep, positions="repack"),
        tokviz.plan("prumerge", keep=keep),
        tokviz.plan("fastv", keep=keep, layer=2, positions="keep"),
        tokviz.plan("fastv", keep=keep, layer=1, positions="repack"),
    ]


def last(stream):
    *_, lanes = stream
    return lanes


def both(model, prepared, plans, new=NEW, after=0):
    """The finished lanes in turns, and together from a word on."""
    return [
        last(model.stream_prepared(prepared, plans, new, strict=True, together_after=start))
        for start in (None, after)
    ]


def assert_same(ours, theirs, atol=1e-5):
    """Words are equal, what was recorded is within rounding, caches are as long."""
    for a, b in zip(ours, theirs, strict=True):
        assert a.trace["answer_ids"].tolist() == b.trace["answer_ids"].tolist()
        assert np.allclose(a.trace["answer_prob"], b.trace["answer_prob"], atol=atol)
        assert np.allclose(a.trace["candidate_prob"], b.trace["candidate_prob"], atol=atol)
        names = {"attention_heads", "mass", "readout"} & set(a.trace.arrays)
        assert len(names) == 2 + (not a.trace.model.get("last_row_only"))
        for name in names:
            assert np.allclose(a.trace[name], b.trace[name], atol=2e-3), name
        assert a.trace.kv_bytes == b.trace.kv_bytes
        assert a.trace.kv_lengths == b.trace.kv_lengths


def test_lanes_together_write_what_they_write_in_turns(model, cat):
    with model.guarded():
        prepared = model.prepare(pictures(cat, 2), PROMPT)
    plans = plans_of(prepared.asked.layout.n)
    if not model.info["tower_layers"]:  # no method acts there or reads attention
        outside = (one for one in plans[1:] if one.steps[0].method not in ("tome", "prumerge"))
        plans = [None, *outside]
    turns, joined = both(model, prepared, plans)
    if layers_without_attention(model.family.decoder(model.model)):
        assert not any("shared" in lane.timings for lane in joined)
        pytest.skip("lanes with states of layers without attention are written in turns")
    # a lane that is alone ahead of all others writes by itself
    assert sum("shared" in lane.timings for lane in joined) >= len(joined) - 1
    assert not any("shared" in lane.timings for lane in turns)
    assert_same(joined, turns)


def test_lanes_read_what_others_wrote_on_every_family(model, cat, monkeypatch):
    """Two pictures, longer than a group, with lanes that agree and lanes that soon do not."""
    monkeypatch.setattr(next_steps, "PATIENCE", float("inf"))
    monkeypatch.setattr(model.model.generation_config, "eos_token_id", None)
    with model.guarded():
        prepared = model.prepare(pictures(cat, 2), PROMPT)
    if layers_without_attention(model.family.decoder(model.model)):
        pytest.skip("lanes with states of layers without attention are written in turns")
    keep = max(prepared.asked.layout.n - 1, 2)
    plans = [None, None, tokviz.plan("divprune", keep=keep)]
    plans.append(tokviz.plan("fastv", keep=keep, layer=1))
    lanes = last(model.stream_prepared(prepared, plans, 30, strict=True, together_after=1))
    assert "shared" in lanes[1].timings
    assert_same(lanes, [last(model.stream_prepared(prepared, [plan], 30))[0] for plan in plans])


# -- on LLaVA -------------------------------------------------------------------------------------


@pytest.fixture
def prepared(vlm, cat):
    """The question, ready for the model."""
    with vlm.guarded():
        return vlm.prepare(cat, PROMPT)


def test_what_hides_tokens_or_sends_them_around_layers_can_join(vlm, prepared):
    names = ("yopo", "cmai", "dtop", "p_mod")
    plans = [tokviz.plan(name, keep=12) for name in names]
    plans.append(tokviz.plan("tidaldecode", keep=12, anew=False))
    turns, joined = both(vlm, prepared, [None, *plans], after=1)
    assert all("shared" in lane.timings for lane in joined[1:])
    assert_same(joined, turns)


def test_a_lane_that_ends_leaves_the_others_unchanged(vlm, prepared, monkeypatch):
    plans = [None, tokviz.plan("divprune", keep=9), tokviz.plan("fastv", keep=9)]
    free, _ = both(vlm, prepared, plans)
    written = [lane.trace["answer_ids"].tolist() for lane in free]
    end = next(i for i in written[1][2:-2] if all(i not in written[k][:6] for k in (0, 2)))
    monkeypatch.setattr(vlm.model.generation_config, "eos_token_id", end)
    turns, joined = both(vlm, prepared, plans)
    assert joined[1].trace.t < min(joined[0].trace.t, joined[2].trace.t)
    assert_same(joined, turns)


def test_a_stop_in_the_middle_gives_every_lane_what_it_has(vlm, prepared):
    plans, stop = [None, tokviz.plan("fastv", keep=9)], threading.Event()
    for lanes in vlm.stream_prepared(prepared, plans, 40, stop=stop, together_after=0):
        if len(lanes[0].tokens) == 4:
            stop.set()
    assert lanes[0].trace.t == 4
    for lane, plan in zip(lanes, plans, strict=True):
        assert lane.trace.finish == "stopped"
        assert_same([lane], last(vlm.stream_prepared(prepared, [plan], lane.trace.t)))


def test_cache_sizes_on_the_way_are_those_of_a_lane_alone(vlm, prepared):
    plans, seen = [None, tokviz.plan("fastv", keep=9)], {}
    for after in (None, 2):
        steps = vlm.stream_prepared(prepared, plans, 5, together_after=after)
        seen[after] = [[lane.kv_bytes for lane in lanes] for lanes in steps]
    assert seen[None] == seen[2]


def test_a_lane_holds_no_memory_of_keys_that_the_batch_holds(vlm, prepared, monkeypatch):
    """A slice without columns keeps the memory of all of them."""
    held, step = [], Batch.step

    def looked_at(batch, lanes, drafts):
        found = step(batch, lanes, drafts)
        kept = [
            t for lane in lanes for layer in lane.cache.layers for t in (layer.keys, layer.values)
        ]
        held.append(max(one.untyped_storage().nbytes() for one in kept))
        return found

    monkeypatch.setattr(Batch, "step", looked_at)
    both(vlm, prepared, [None, tokviz.plan("divprune", keep=12)])
    assert held
    assert not any(held)


def test_lanes_that_change_attention_or_have_a_second_run_step_alone(vlm, prepared):
    plans = [None, tokviz.plan("fastervlm", keep=9)]
    plans += [Plan().mitigated("pai"), Plan().mitigated("m3id")]
    turns, joined = both(vlm, prepared, plans)
    assert ["shared" in lane.timings for lane in joined] == [True, True, False, False]
    assert_same(joined, turns)
    for ours, theirs in zip(joined[2:], turns[2:], strict=True):
        assert np.array_equal(ours.trace["answer_prob"], theirs.trace["answer_prob"])
        assert "total_alone" not in ours.timings


def test_the_first_words_are_exactly_those_of_a_lane_alone_and_the_trace_says_so(vlm, prepared):
    plans = [None, tokviz.plan("divprune", keep=9)]
    lanes = last(vlm.stream_prepared(prepared, plans, 6, together_after=3))
    for lane, plan in zip(lanes, plans, strict=True):
        (alone,) = last(vlm.stream_prepared(prepared, [plan], 6))
        assert np.array_equal(lane.trace["answer_prob"][:3], alone.trace["answer_prob"][:3])
        assert any(note.startswith("From token 4 on") for note in lane.trace.notes)
        assert 0 < lane.timings["shared"] < lane.timings["decode"]
        assert lane.timings["first_token"] < lane.timings["total_alone"]
        assert not any(note.startswith("From token") for note in alone.trace.notes)


def test_a_visitor_who_leaves_in_the_middle_leaves_no_cache_behind(vlm, prepared, monkeypatch):
    made, join = [], Batch.join

    def watched(self, lanes):
        join(self, lanes)
        made.append(weakref.ref(self.cache.joined[0]))

    monkeypatch.setattr(Batch, "join", watched)
    steps = vlm.stream_prepared(prepared, [None, None], 40, together_after=1)
    while not made:
        next(steps)
    gc.disable()
    try:
        steps.close()
        assert made[0]() is None
    finally:
        gc.enable()


def test_an_error_in_a_shared_step_ends_its_lanes_in_words(vlm, prepared, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "_attend", no_memory)
        lanes = last(vlm.stream_prepared(prepared, [None, None, None], 5, together_after=2))
    assert not lanes[0].error  # it was ahead, so it wrote alone
    assert lanes[0].trace.t == 5
    assert all("out of memory" in lane.error and lane.text for lane in lanes[1:])
    vlm.answer(prepared.asked.images[0], PROMPT, None, 2)
    assert not any(m._forward_pre_hooks for m in vlm.model.modules())
