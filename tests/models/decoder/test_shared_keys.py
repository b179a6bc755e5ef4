"""Decoders whose last layers read the keys of earlier ones: Gemma 4 E2B and E4B, and Gemma 3n."""

import numpy as np
import pytest
import torch
from transformers import DynamicCache

import tokviz
from tests.models.by_hand import by_hand
from tests.models.test_promises import PROMPT, pictures
from tokviz.capture import Capture
from tokviz.errors import InputError, MissingSignal
from tokviz.matrix import Reduction
from tokviz.models.before.early_stages import early_stages
from tokviz.models.families.shared_keys import (
    caching_layers,
    following,
    keyed_layers,
    last_row_layers,
    owners,
    removing_layers,
    whole_prompt_layers,
)
from tokviz.models.hooks import hooked
from tokviz.models.runs.extra_forwards import further_runs
from tokviz.models.runs.sink_search import search_sinks
from tokviz.plans import Plan, Step
from tokviz.reduction import METHODS, Stage
from tokviz.testing.on_families import check_generate, run_plan

NAMES = ["gemma4_e2b", "gemma3n"]
"Of the first, the last layers compute the last row of a prompt only; of the second, every row."
OWNERS = {6: 4, 7: 4, 8: 5}
"Layer -> the layer whose keys it reads; 4 has a sliding window, 5 has not."
ROWS = ("tam", "logit_lens", "similarity_map", "alignment")
"Analyses that read the states of all rows of the prompt."


@pytest.fixture(scope="module", params=[NAMES[0], pytest.param(NAMES[1], marks=pytest.mark.weekly)])
def shared(checkpoint, request):
    """The tiny model, which no test changes."""
    return tokviz.load(checkpoint(request.param))


@pytest.fixture(scope="module")
def e2b(checkpoint):
    """The one whose last layers compute the last row only."""
    return tokviz.load(checkpoint(NAMES[0]))


@pytest.fixture
def decoder(shared):
    """Its text decoder."""
    return shared.family.decoder(shared.model)


@pytest.fixture
def blind(blind_method):
    """Removes tokens before layer 1 and before the last layer that it can, by no signal."""
    return blind_method("blind", 3, lambda keep: [Stage(1, keep + 4), Stage(4, keep)])


def left_at(run):
    """Layer -> the visual tokens that enter it, for each stage of a run."""
    stages = run.lane.stages
    return {layer: np.sort(stages.reduction_at(layer).position) for layer, *_ in stages.done}


# -- what there is --------------------------------------------------------------------------------


def test_the_last_layers_read_the_keys_of_the_last_ones_of_their_type(shared, decoder):
    assert owners(decoder) == OWNERS
    assert caching_layers(decoder) == [0, 1, 2, 3, 4, 5]
    assert keyed_layers(decoder) == 6
    assert removing_layers(decoder) == 5
    of_one_row = OWNERS if shared.family.name == "gemma4" else {}
    assert last_row_layers(decoder) == of_one_row
    assert whole_prompt_layers(decoder) == (6 if of_one_row else 9)


def test_other_decoders_share_nothing(checkpoint):
    for name in ("gemma4", "gemma3", "llava"):
        vlm = tokviz.load(checkpoint(name))
        decoder = vlm.family.decoder(vlm.model)
        assert owners(decoder) == {}
        counts = [of(decoder) for of in (whole_prompt_layers, keyed_layers, removing_layers)]
        assert counts == [len(decoder.layers)] * 3
        with hooked(following(decoder)):
            assert not any(layer._forward_pre_hooks for layer in decoder.layers)


def test_the_reference_by_hand_is_the_library(shared, cat):
    prepared = shared.prepare(cat, PROMPT)
    logits, run = run_plan(shared, prepared, None)
    want = by_hand(shared, prepared, {}, run.lane.ids[: len(logits) - 1])
    for ours, theirs in zip(logits, want, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


# -- removal --------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["keep", "repack"])
def test_every_step_after_removal_inside_equals_the_shorter_sequence(shared, cat, blind, policy):
    prepared = shared.prepare(pictures(cat, 2), PROMPT)
    logits, run = run_plan(shared, prepared, tokviz.plan(blind, keep=5, positions=policy))
    left, ids = left_at(run), run.lane.ids[: len(logits) - 1]
    assert sorted(left) == [1, 4]
    want = by_hand(shared, prepared, left, ids, policy == "repack")
    for step, (ours, theirs) in enumerate(zip(logits, want, strict=True)):
        assert torch.allclose(ours, theirs, atol=1e-4), step
    whole = by_hand(shared, prepared, {}, ids)
    assert not torch.allclose(logits[0], whole[0], atol=1e-2)


@pytest.mark.parametrize("policy", ["keep", "repack"])
def test_every_step_after_removal_before_equals_the_shorter_sequence(shared, cat, policy):
    prepared = shared.prepare(cat, PROMPT)
    n = prepared.asked.layout.n
    kept = np.arange(0, n, 3)
    step = Step("by hand", len(kept), reduction=Reduction.select(kept, n), positions=policy)
    logits, run = run_plan(shared, prepared, Plan((step,)))
    ids = run.lane.ids[: len(logits) - 1]
    want = by_hand(shared, prepared, {0: kept}, ids, policy == "repack")
    for ours, theirs in zip(logits, want, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_removed_tokens_leave_one_cache_per_owner(shared, cat, blind):
    whole = shared.answer(cat, PROMPT, None, 3)
    trace = shared.answer(cat, PROMPT, tokviz.plan(blind, keep=5, positions="keep"), 3)
    window = shared.model.config.text_config.sliding_window - 1
    rows = [len(trace.prompt_tokens) + 2 - gone for gone in (0, trace.n - 9, trace.n - 3)]
    assert trace.kv_lengths[6:] == whole.kv_lengths[6:] == (0, 0, 0)
    assert trace.kv_lengths[5] == rows[2]
    assert trace.kv_lengths[2] == rows[1]
    assert trace.kv_lengths[4] == min(rows[2], window)
    assert whole.kv_lengths[5] == rows[0]
    assert trace.kv_bytes < whole.kv_bytes


def test_a_removed_token_is_in_no_layers_attention(shared, cat, blind):
    trace = shared.answer(cat, PROMPT, tokviz.plan(blind, keep=5, positions="keep"), 3)
    gone = np.setdiff1d(np.arange(trace.n), trace.reduction.kept)
    assert not trace["attention"][:, 4:, gone].any()
    assert trace["attention"][:, 5][:, trace.reduction.kept].all()
    assert trace["attention"][:, 8][:, trace.reduction.kept].all()


def test_eviction_cuts_the_caches_of_the_owners_and_later_layers_read_them(shared, cat):
    prepared = shared.prepare(cat, PROMPT)
    logits, run = run_plan(shared, prepared, tokviz.plan("snapkv", keep=12))
    held = run.lane.stages.eviction.held
    assert sorted(held) == [2, 5, 8]  # the layers without a window, and one that reads layer 5's
    keys = {layer: run.lane.cache.layers[layer].keys for layer in (2, 5)}
    text = len(prepared.asked.prompt_ids) - prepared.asked.layout.n
    assert {one.shape[-2] for one in keys.values()} == {text + 12 + len(logits) - 1}
    trace = shared.answer(cat, PROMPT, tokviz.plan("snapkv", keep=12), 3)
    seen = [(trace["attention"][1:, layer] > 0).sum(-1).max() for layer in (5, 8)]
    assert seen[0] <= 12 * keys[5].shape[1]
    assert seen[1] <= 12 * keys[5].shape[1]
    assert any("layers 6-8 have none of their own" in note for note in trace.notes)


@pytest.mark.parametrize("name", ["aim_mask", "tidaldecode"])
def test_hidden_tokens_are_hidden_from_the_layers_that_share_keys(shared, cat, name):
    """Their rows stay in the sequence, but in no later layer's attention."""
    trace = shared.answer(cat, PROMPT, tokviz.plan(name, keep=9), 4)
    seen = trace["attention"][1:] > 0
    for layer, owner in OWNERS.items():
        whole = seen[:, owner].all(-1).all()
        assert np.array_equal(seen[:, layer], seen[:, owner]) or whole, layer
    assert not seen[:, 8].all()


# -- methods --------------------------------------------------------------------------------------


def test_a_schedule_is_laid_on_the_layers_that_tokens_can_leave_before(shared, cat, decoder):
    entry = METHODS["pyramiddrop"]
    stages, clause = early_stages(entry, lambda layers: entry.stages(40, 10, layers), decoder)
    assert [stage.layer for stage in stages] == [stage.layer for stage in entry.stages(40, 10, 5)]
    assert "the layers from 6 on read the keys" in clause
    trace = shared.answer(cat, PROMPT, tokviz.plan("pyramiddrop", keep=10), 2)
    said = [why for status in trace.model["status"] for why in status["why"]]
    assert any("it decides before layers" in why for why in said)


def test_merged_tokens_are_read_once_since_each_layer_has_an_input_for_every_token(e2b, cat):
    trace = e2b.answer(cat, PROMPT, tokviz.plan("dymu", keep=9), 2)
    said = [why for status in trace.model["status"] for why in status["why"]]
    assert any(
        "layers of this model have inputs of their own for each token" in why for why in said
    )


def test_a_layer_before_which_no_token_can_leave_is_refused(shared, cat):
    with pytest.raises(
        InputError, match="before layer 7.*before layers 1 to 4 only: the layers from 6"
    ):
        shared.answer(cat, PROMPT, tokviz.plan("fastv", keep=10, layer=7), 2)
    with pytest.raises(InputError, match="the language model has 9 layers"):
        shared.answer(cat, PROMPT, tokviz.plan("fastv", keep=10, layer=12), 2)


def test_ready_decisions_that_cannot_be_carried_out_are_left_out_in_words(shared, cat):
    n = shared.prepare(cat, PROMPT).asked.layout.n
    half = Reduction.select(np.arange(0, n, 2), n)
    late = Reduction.select(np.arange(half.m // 2), half.m)
    step = Step("mine", late.m, inside=((2, half), (7, late)))
    trace = shared.answer(cat, PROMPT, Plan((step,)), 2)
    assert [stage.layer for stage in trace.stages] == [2]
    assert any("before the first 5 layers only" in note for note in trace.notes)


# -- what is recorded -----------------------------------------------------------------------------


def test_attention_is_recorded_in_every_layer(shared, cat, tmp_path):
    trace = shared.answer(cat, PROMPT, None, 3)
    assert np.isfinite(trace["attention"]).all()
    assert (trace["attention"].sum(-1) > 0).all()
    trace.save(tmp_path / "run.safetensors")
    for one in (trace, tokviz.open_trace(tmp_path / "run.safetensors")):
        last = [6, 7, 8] if shared.family.name == "gemma4" else None
        assert one.model.get("last_row_only") == last


def test_what_needs_every_row_says_why_there_is_none(e2b, cat):
    capture = Capture(lens=3, states=True, flow=True)
    trace = e2b.answer(cat, PROMPT, None, 3, capture)
    assert not {"readout", "state_similarity", "lens_ids", "layer_means"} & set(trace.arrays)
    assert np.isnan(trace["flow"][6:]).all()
    assert np.isfinite(trace["last_state"]).all()
    for name in (*ROWS, "rollout", "relevance"):
        with pytest.raises(MissingSignal, match="read the keys of earlier ones"):
            e2b.analyse(name, cat, PROMPT, trace=trace, max_new_tokens=2)


def test_the_sink_statistic_of_a_layer_is_that_of_the_layer_whose_keys_it_reads(shared, cat):
    shared.found_sink_dims = (1, 5)
    try:
        trace = shared.answer(cat, PROMPT, None, 2)
    finally:
        shared.found_sink_dims = None
    phi = trace["sink_phi"]
    assert all(np.array_equal(phi[layer], phi[owner]) for layer, owner in OWNERS.items())
    assert len({row.tobytes() for row in phi}) == 6


def test_the_sink_search_reads_ids_not_embeddings(shared, decoder):
    """From embeddings the library compares each with its whole vocabulary to find the ids."""
    given = []
    hook = decoder.register_forward_pre_hook(
        lambda module, args, kwargs: given.append(sorted(kwargs)), with_kwargs=True
    )
    with shared.guarded(), hooked([hook]):
        search_sinks(shared)
    assert all("input_ids" in names and "inputs_embeds" not in names for names in given)


@pytest.mark.parametrize("layer", range(10))
def test_after_the_exit_no_layer_reads_the_picture(shared, cat, layer):
    prepared = shared.prepare(cat, PROMPT)
    trace = shared.answer(cat, PROMPT, None, 4)
    runs = further_runs(shared, cat, PROMPT, trace)
    best, own, first = runs.exits(layer)
    ids = trace["answer_ids"]
    want = by_hand(shared, prepared, {}, ids[:-1].tolist(), blind_from=layer).log_softmax(-1)
    assert np.allclose(first, want[0].numpy(), atol=1e-4)
    assert np.allclose(own, want[np.arange(len(ids)), ids].numpy(), atol=1e-4)


def test_scores_with_fewer_tokens_are_those_of_the_shorter_sequence(shared, cat):
    prepared = shared.prepare(cat, PROMPT)
    trace = shared.answer(cat, PROMPT, None, 4)
    kept = np.arange(1, trace.n, 4)
    score = further_runs(shared, cat, PROMPT, trace).score([kept, kept + 1 - (kept == trace.n - 1)])
    ids = trace["answer_ids"]
    want = by_hand(shared, prepared, {0: kept}, ids[:-1].tolist()).log_softmax(-1)
    assert score[0] == pytest.approx(float(want[np.arange(len(ids)), ids].sum()), abs=1e-3)


# -- answers --------------------------------------------------------------------------------------


def test_lanes_side_by_side_give_the_answers_that_each_gives_alone(shared, cat):
    plans = [None, tokviz.plan("fastv", keep=9), tokviz.plan("divprune", keep=12)]
    alone = [shared.answer(cat, PROMPT, plan, 5) for plan in plans]
    *_, views = shared.stream(cat, PROMPT, plans, 5, together_after=1)
    for view, one in zip(views, alone, strict=True):
        assert np.array_equal(view.trace["answer_ids"], one["answer_ids"])
        assert np.allclose(view.trace["answer_prob"], one["answer_prob"], atol=1e-5)
        assert np.allclose(view.trace["attention"], one["attention"], atol=2e-3)
        assert view.trace.kv_lengths == one.kv_lengths
        assert view.trace.kv_bytes == one.kv_bytes
    assert any("in one batch" in note for view in views for note in view.trace.notes)


@pytest.mark.parametrize("name", ["pai", "vcd", "opera"])
def test_a_mitigation_keeps_the_model_as_it_is_and_sees_the_last_layers(shared, cat, name):
    prepared = shared.prepare(cat, PROMPT)
    trace = shared.answer(cat, PROMPT, tokviz.plan(mitigation=name), 4)
    assert trace.t > 0
    check_generate(shared, prepared, None)


def test_the_library_holds_no_cache_for_the_last_layers(decoder):
    assert [type(one).__name__ for one in DynamicCache(config=decoder.config).layers][6:] == [
        "DummyLayer"
    ] * 3
