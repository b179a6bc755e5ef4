"""Tokens really leave the KV cache, head by head, and everything else stays as it was."""

import numpy as np
import pytest
import torch

import tokviz
from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.models.attention import observed
from tokviz.models.decoder.windows import sliding_layers
from tokviz.models.families.layer_kinds import attending_layers
from tokviz.models.families.shared_keys import owners
from tokviz.models.runs.run import Run
from tokviz.trace import open_trace

PROMPT = "what is this?"


def started(vlm, prepared, plan, capture=None):
    """A run after its prefill."""
    capture = capture or Capture()
    with vlm.guarded():
        run = Run(vlm, prepared, vlm.encode(prepared, [plan], capture), {}, plan, capture)
        run.start()
    return run


def hiding(lane, other):
    """An observer that hides from a whole cache what each key head of another lane's evicted."""

    def observer(call):
        layer = getattr(call.module, "layer_idx", None)
        held = other.stages.eviction.held.get(layer)
        if held is None:
            return None
        alive, keys = len(lane.stages.rows_at(layer)), call.key.shape[2]
        sees = torch.zeros(held.shape[0], keys, dtype=torch.bool)
        sees.scatter_(1, held, True)
        sees[:, alive:] = True
        sees = sees.repeat_interleave(call.query.shape[1] // len(held), 0)[None, :, None]
        logits = call.all_logits().masked_fill(~sees, -torch.inf)
        return call.output(call.softmax(logits))

    return observer


def step_hiding(whole, other):
    """One decode step of a lane with a whole cache in which evicted keys are hidden."""
    inputs = torch.tensor([[whole.ids[-1]]])
    with whole.stages.during_decode(), observed(hiding(whole, other)):
        output = whole.model(
            input_ids=inputs,
            attention_mask=torch.ones(1, whole.length + len(whole.ids), dtype=torch.long),
            position_ids=whole.next_positions(),
            past_key_values=whole.cache,
            use_cache=True,
        )
    return output.logits[0, -1].float()


def test_evicting_equals_hiding_head_by_head(model, cat):
    prepared = model.prepare(cat, PROMPT)
    n = prepared.asked.layout.n
    evicted = started(model, prepared, tokviz.plan("snapkv", keep=n // 3))
    whole = started(model, prepared, None)
    assert torch.equal(evicted.lane.logits, whole.lane.logits)  # the prefill is the full one
    windowed, own = sliding_layers(evicted.lane.decoder), attending_layers(evicted.lane.decoder)
    shared = owners(evicted.lane.decoder)
    read = {layer for layer in own if shared.get(layer, layer) not in windowed}
    assert set(evicted.lane.stages.eviction.held) == read
    for _ in range(3):
        whole.lane.ids[:] = evicted.lane.ids
        with model.guarded():
            reference = step_hiding(whole.lane, evicted.lane)
            evicted.lane.step()
        assert torch.allclose(evicted.lane.logits, reference, atol=1e-4)
        evicted.lane.write()


def test_the_cache_is_as_short_as_the_budget_says(model, cat):
    """VL-Cache: every layer has its own budget, and each family supplies all that is asked."""
    full = model.answer(cat, PROMPT, None, 2)
    windowed = set(sliding_layers(model.family.decoder(model.model)))
    trace = model.answer(cat, PROMPT, tokviz.plan("vl_cache", keep=full.n // 2), 2)
    pairs = zip(trace.kv_lengths, full.kv_lengths, strict=True)
    fewer = [theirs - full.t - (ours - trace.t) for ours, theirs in pairs]
    cut = [stage for stage in trace.stages if stage.reduction.heads]
    left = {stage.layer: int(stage.reduction.heads.counts[0]) for stage in cut}
    wanted = [0 if i in windowed else full.n - left.get(i, full.n) for i in range(len(fewer))]
    assert fewer == wanted
    assert trace.kv_bytes < full.kv_bytes or len(windowed) == len(fewer)
    assert any("sliding window" in note for note in trace.notes) == bool(windowed)


@pytest.mark.weekly
def test_in_bfloat16_it_runs_and_the_prefill_is_the_full_one(half_model, cat):
    prepared = half_model.prepare(cat, PROMPT)
    plan = tokviz.plan("look_m", keep=prepared.asked.layout.n // 4)
    run, whole = started(half_model, prepared, plan), started(half_model, prepared, None)
    assert torch.equal(run.lane.logits, whole.lane.logits)
    with half_model.guarded():
        run.step()
    assert torch.isfinite(run.lane.logits).all()


def test_merged_entries_are_the_means_that_w_says(vlm, cat):
    prepared = vlm.prepare(cat, PROMPT)
    run = started(vlm, prepared, tokviz.plan("look_m", keep=9))
    whole = started(vlm, prepared, None)
    stages = run.lane.stages
    visual = stages.visual_at_start.numpy()
    for layer, done in stages.eviction.decided.items():
        heads, held = done.heads, stages.eviction.held[layer]
        values = whole.lane.cache.layers[layer].values[0].float()
        for head in range(heads.heads):
            target = np.where(heads.into[head] >= 0, visual[heads.into[head]], heads.text_row[head])
            for slot, row in enumerate(held[head].tolist()):
                members = np.flatnonzero((target == row) & (visual != row))
                weight = torch.as_tensor(heads.weights[head, members])
                want = (1 - weight.sum()) * values[head, row]
                want = want + weight @ values[head, visual[members]]
                got = run.lane.cache.layers[layer].values[0, head, slot]
                assert torch.allclose(got, want, atol=1e-5)


def test_attention_rows_are_those_of_the_prompt_with_zeros_where_a_token_left(vlm, cat):
    trace = vlm.answer(cat, PROMPT, tokviz.plan("snapkv", keep=9), 4)
    heads = trace["attention_heads"]
    groups = heads.shape[2] // trace.stages[0].reduction.heads.heads
    for stage in trace.stages:
        gone = np.repeat(stage.reduction.heads.fate != 0, groups, 0)
        later = heads[1:, stage.layer]
        assert not later[:, gone].any()
        assert later[:, ~gone].any()
    assert trace["mass"].sum(-1) == pytest.approx(np.ones(trace["mass"].shape[:3]), abs=2e-3)


def test_after_removal_inside_the_model_the_cache_is_cut_of_what_is_left(vlm, cat):
    plan = tokviz.plan("fastv", keep=20).then(tokviz.plan("snapkv", keep=8))
    trace = vlm.answer(cat, PROMPT, plan, 3)
    counts = [(s.method, s.layer, s.reduction.n) for s in trace.stages]
    n = trace.n
    assert counts[:4] == [
        ("snapkv", 0, n), ("snapkv", 1, n), ("fastv", 2, n), ("snapkv", 2, 20),
    ]  # fmt: skip
    text = len(trace.prompt_tokens) - n
    assert set(np.array(trace.kv_lengths) - trace.t + 1) == {text + 8}
    assert open_trace(trace.to_bytes()).stages[3].reduction.heads.counts.tolist() == (
        trace.stages[3].reduction.heads.counts.tolist()
    )


def test_a_second_reading_keeps_its_cache_step(vlm, cat):
    plan = tokviz.plan("gemfilter", keep=20).then(tokviz.plan("h2o", keep=8))
    trace = vlm.answer(cat, PROMPT, plan, 3)
    assert [s.method for s in trace.stages][:2] == ["gemfilter", "h2o"]
    assert trace.stages[-1].reduction.n == 20


def test_lanes_with_shortened_caches_step_together(vlm, cat):
    prepared = vlm.prepare(cat, PROMPT)
    plans = [None, tokviz.plan("snapkv", keep=9), tokviz.plan("pyramidkv", keep=9)]
    *_, joined = vlm.stream_prepared(prepared, plans, 6, together_after=1)
    for lane, plan in zip(joined, plans, strict=True):
        *_, (alone,) = vlm.stream_prepared(prepared, [plan], 6)
        assert lane.trace.answer == alone.trace.answer
        assert lane.trace.kv_lengths == alone.trace.kv_lengths
        for name in ("attention", "mass", "answer_prob"):
            assert lane.trace[name] == pytest.approx(alone.trace[name], abs=2e-3)


def test_what_cannot_be_joined_is_refused_in_words():
    cache = tokviz.plan("snapkv", keep=8)
    with pytest.raises(InputError, match="SnapKV cannot follow AIM.*fastv"):
        tokviz.plan("aim_mask", keep=20).then(cache)
    with pytest.raises(InputError, match="cannot be joined with PAI"):
        cache.mitigated("pai")
    with pytest.raises(InputError, match="positions must be keep, got repack"):
        tokviz.plan("snapkv", keep=8, positions="repack")
    with pytest.raises(InputError, match="only one method in the KV cache"):
        cache.then(tokviz.plan("h2o", keep=4))
    with pytest.raises(InputError, match="in its KV cache"):
        cache.then(tokviz.plan("fastv", keep=4))


@pytest.mark.parametrize("mitigation", ["vcd", "damro", "m3id"])
def test_contrast_decoding_goes_on_over_a_shortened_cache(vlm, cat, mitigation):
    trace = vlm.answer(cat, PROMPT, tokviz.plan("snapkv", keep=9).mitigated(mitigation), 3)
    assert trace.t
    assert any(note.startswith(trace.model["status"][1]["name"]) for note in trace.notes)
