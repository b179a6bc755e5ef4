"""Further runs on one question agree with the run itself, with eager attention and each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import LlavaForConditionalGeneration

import tokviz
from tests.models.test_promises import chosen
from tokviz.analysis.exit_layer import divergence
from tokviz.analysis.relevance import carry_back, weighted
from tokviz.errors import InputError, MissingSignal
from tokviz.matrix import Reduction
from tokviz.models.families.family import Features
from tokviz.models.families.layer_kinds import attending_layers
from tokviz.models.families.shared_keys import (
    caching_layers,
    removing_layers,
    whole_prompt_layers,
)
from tokviz.models.runs.extra_forwards import ExtraForwards
from tokviz.models.runs.whole_maps import joined_map

PROMPT = "what is this?"


def further(model, image):
    trace = model.answer(image, PROMPT, None, 5)
    with model.guarded():
        prepared = model.prepare(image, PROMPT)
    return ExtraForwards(model, prepared, trace, 5)


@pytest.fixture(scope="module")
def again(model, cat):
    """Further runs on one question, for each family in turn."""
    return further(model, cat)


def attending(runs):
    """The layers with attention of a model."""
    return attending_layers(runs.loaded.family.decoder(runs.loaded.model))


def own_log(runs):
    return float(np.log(runs.trace["answer_prob"].astype(np.float64)).sum())


def test_all_tokens_give_the_run_again(again):
    n, trace = again.trace.n, again.trace
    assert again.score([np.arange(n)])[0] == pytest.approx(own_log(again), abs=1e-4)
    assert again.answers([np.arange(n)]) == [trace.answer]
    best, own, _ = again.exits(len(again.layers))
    assert best.tolist() == trace["answer_ids"].tolist()
    assert own.sum() == pytest.approx(own_log(again), abs=1e-4)
    assert again.knockout(range(0)) == pytest.approx(own_log(again), abs=1e-4)
    full = again.controls()["full"]
    chosen = full[np.arange(trace.t), trace["answer_ids"]]
    assert np.abs(chosen - trace["answer_prob"]).max() < 1e-4


def test_sets_read_together_are_scored_as_if_alone(again):
    n = again.trace.n
    kept = [np.arange(0, n, 2), np.arange(n)[:3], np.arange(1, n, 2), np.arange(0)]
    kept[2] = kept[2][: len(kept[0])]
    alone = np.concatenate([again.score([one]) for one in kept])
    assert np.abs(again.score(kept) - alone).max() < 1e-4
    assert again.answers(kept) == [again.answers([one])[0] for one in kept]


def test_the_score_of_some_tokens_is_that_of_a_run_on_them(again):
    """Two ways to the same end; the windows of both count in the full prompt."""
    kept = np.arange(0, again.trace.n, 3)
    plan = chosen(Reduction.select(kept, again.trace.n))
    run = again.loaded.answer(again.prepared.asked.images[0], PROMPT, plan, 5)
    runs = ExtraForwards(again.loaded, again.prepared, run)
    assert runs.score([kept])[0] == pytest.approx(own_log(runs), abs=1e-4)
    assert ExtraForwards(again.loaded, again.prepared, run, 5).answers([kept]) == [run.answer]


def test_leaving_before_the_first_layer_is_having_no_image(again):
    none = again.score([np.arange(0)])[0]
    assert again.exits(0)[1].sum() == pytest.approx(none, abs=1e-4)
    removed = again.controls()["removed"]
    chosen = removed[np.arange(again.trace.t), again.trace["answer_ids"]]
    assert np.log(chosen.astype(np.float64)).sum() == pytest.approx(none, abs=1e-3)


def test_an_answer_longer_than_the_picture_is_scored_without_it(vlm, cat):
    """The library's mask fits the short cache of layer 0, also where it is as wide as a prompt."""
    plan = tokviz.plan("fastv", keep=36)
    plan = replace(plan, steps=(), forced=tuple(range(40, 80)))
    trace = vlm.answer(cat, PROMPT, plan, 40)
    assert trace.t == 40 > trace.n
    with vlm.guarded():
        runs = ExtraForwards(vlm, vlm.prepare(cat, PROMPT), trace)
    none = runs.score([np.arange(0)])[0]
    assert runs.exits(0)[1].sum() == pytest.approx(none, abs=1e-3)


def test_the_search_of_vtw_reads_the_next_token_of_a_run_that_leaves_there(model, cat, again):
    full = again.exits(len(again.layers))[2]
    for layer in again.layers:
        left = again.exits(layer)[2]
        loss = torch.nn.KLDivLoss(reduction="batchmean")  # as the official search calls it
        want = loss(torch.tensor(full)[None], torch.tensor(left).exp()[None])
        assert divergence(full, left) == pytest.approx(float(want), abs=1e-6)
        decoder = again.loaded.family.decoder(again.loaded.model)
        if 0 < layer < removing_layers(decoder):
            plan = tokviz.plan("vtw", keep=1, layer=layer)
            run = model.answer(cat, again.trace.prompt, plan, 1)
            assert run["answer_prob"][0] == pytest.approx(np.exp(left.max()), abs=1e-5)
            assert run["answer_ids"][0] == left.argmax()


def test_cutting_the_text_off_to_the_last_layer_equals_leaving(again):
    """Two ways to the same end: real removal inside the model, and a mask."""
    count = len(again.layers)
    layers = [i for i in (1, count - 1) if {*range(i, count)} <= {*attending(again)}]
    if 1 not in layers:
        with pytest.raises(MissingSignal, match="layer 1 is .*: it has no attention map"):
            again.knockout(range(1, count))
    for layer in layers:
        left = again.exits(layer)[1].sum()
        assert again.knockout(range(layer, count)) == pytest.approx(left, abs=1e-4)


def test_maps_hold_the_rows_that_were_captured(again):
    trace, s = again.trace, len(again.trace.prompt_tokens)
    for layer in caching_layers(again.loaded.family.decoder(again.loaded.model)):
        whole = again.maps(layer)
        assert whole.shape[1:] == (s + trace.t - 1,) * 2
        assert np.abs(whole.sum(-1) - 1).max() < 1e-5
        rows = whole[:, s - 1 :][..., trace.layout.position].transpose(1, 0, 2)
        assert np.abs(rows - trace["attention_heads"][:, layer]).max() < 1e-3  # half precision


def test_the_differentiable_forward_gives_the_score_and_its_slope(again):
    features = again.features.clone()[None].repeat(2, 1, 1)
    features[1] = features[1].roll(1, 0)
    features.requires_grad_()
    found = again.forward(features)
    assert float(found[0].detach()) == pytest.approx(own_log(again), abs=1e-4)
    (slope,) = torch.autograd.grad(found[0], features)
    assert slope[1].abs().max() == 0
    # a token that changes its experts makes the score jump, and in the tiny MiniCPM-V and Gemma 3n
    # the slope itself changes soon: a step too short for that
    steep = again.loaded.family.name.endswith(("_moe", "minicpmv4_6", "gemma3n"))
    length = 3e-4 if steep else 1e-2
    step = length * slope[0] / slope[0].norm()
    with torch.no_grad():
        ahead, behind = (again.forward(features[:1] + sign * step) for sign in (1, -1))
    rise = float(ahead - behind) / 2
    assert rise == pytest.approx(float((slope[0] * step).sum()), rel=0.1, abs=1e-4)


def test_the_model_is_untouched(again):
    model, inputs = again.loaded.model, again.prepared.inputs

    def logits():
        with again.loaded.guarded():
            return model(**inputs, position_ids=again.prepared.positions).logits

    def hooks():
        return [(id(m), *m._forward_hooks, *m._forward_pre_hooks) for m in model.modules()]

    before, modules = logits(), hooks()
    first = attending(again)[0]
    again.exits(1)
    again.knockout(range(first, first + 1))
    again.gradients(first, 0)
    again.score([np.arange(2)])
    assert torch.equal(before, logits())
    assert modules == hooks()
    assert not any(p.grad is not None for p in model.parameters())


# -- against an eager copy, on the tiny LLaVA ---------------------------------------------------


@pytest.fixture(scope="module")
def llava(vlm, cat):
    return further(vlm, cat)


@pytest.fixture(scope="module")
def eager(folder, llava):
    """An eager pass over the same features, prompt and answer; its maps keep their gradients."""
    copy = LlavaForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
    given = {name: value.clone() for name, value in llava.prepared.inputs.items()}
    answer = torch.as_tensor(llava.trace["answer_ids"])[None].long()
    given["input_ids"] = torch.cat([given["input_ids"], answer[:, :-1]], 1)
    given["attention_mask"] = torch.ones_like(given["input_ids"])
    del given["pixel_values"]
    features = Features(llava.features.clone().requires_grad_())
    given["mm_encoder_outputs"] = {"image": llava.loaded.family.encoder_outputs(features)}
    output = copy(**given, output_attentions=True)
    own = output.logits[0, -llava.trace.t :].log_softmax(-1)
    own = own.gather(1, answer[0][:, None])[:, 0]
    grads = [torch.autograd.grad(p, output.attentions, retain_graph=True) for p in own]
    return [a[0].detach().numpy() for a in output.attentions], grads


def test_rows_agree_with_eager_attention_in_every_layer_when_states_do(llava, eager):
    """Attention made of the captured rows in place of SDPA's: only the capture is compared."""
    _, parts = llava.slopes.graph
    for layer, expected in enumerate(eager[0]):
        assert np.abs(joined_map(parts[layer]).numpy() - expected).max() < 1e-6


def test_maps_agree_with_eager_attention(llava, eager):
    for layer, expected in enumerate(eager[0]):
        difference = np.abs(llava.maps(layer) - expected).max()
        assert difference < (1e-6 if layer == 0 else 1e-5)


def test_gradients_agree_with_autograd_through_eager_attention(llava, eager):
    for token in (0, llava.trace.t - 1):
        for layer in llava.layers:
            expected = eager[1][token][layer][0].numpy()
            found = llava.gradients(layer, token)
            seen = np.tril(np.ones(found.shape[1:]))  # what lies ahead is masked in any case
            scale = max(np.abs(expected * seen).max(), 1e-3)
            assert np.abs((found - expected) * seen).max() < 1e-4 * scale


def test_relevance_from_further_runs_is_the_eager_one(llava, eager):
    maps, grads = eager
    result = tokviz.analyse(
        "relevance", llava.trace, runs={"maps": llava.maps, "gradients": llava.gradients}
    )
    rows, s = len(maps[0][0]), len(llava.trace.prompt_tokens)
    for token in range(llava.trace.t):
        own = np.eye(rows)[s - 1 + token]
        layers = [weighted(a, g[0].numpy()) for a, g in zip(maps, grads[token], strict=True)][::-1]
        expected = (carry_back(own, layers) - own)[llava.trace.layout.position]
        assert np.abs(result.values[token] - expected).max() < 1e-4 * max(1, expected.max())


def test_a_trace_of_another_prompt_is_refused(vlm, cat, llava):
    with vlm.guarded():
        other = vlm.prepare(cat, "and this?")
    with pytest.raises(InputError, match="another prompt"):
        ExtraForwards(vlm, other, llava.trace)


def test_the_statistics_of_the_prompt_are_those_of_whole_maps(model, cat):
    """Of every family: received attention, an even share, values and states."""
    trace = model.answer(cat, "what is this?", None, 2)
    again = model.further_runs(cat, "what is this?", trace)
    found, rows = again.prompt_statistics(), len(trace.prompt_tokens)
    heads = found["received"].shape[1]
    assert found["received"].shape == (len(again.layers), heads, rows)
    decoder = again.loaded.family.decoder(again.loaded.model)
    own = [i for i in attending_layers(decoder) if i < whole_prompt_layers(decoder)]
    for layer in (own[0], own[-1]):
        whole = again.maps(layer)[:, :rows, :rows]
        sees = (whole > 0).any(0)
        assert np.allclose(found["received"][layer], whole.sum(1) / sees.sum(0), atol=1e-5)
        even = (sees / sees.sum(1, keepdims=True)).sum(0) / sees.sum(0)
        assert np.allclose(found["even"][layer], even, atol=1e-5)
    assert (found["value_norm"][attending(again)] > 0).all()
    assert np.isnan(np.delete(found["received"], own, 0)).all()
    result = model.analyse("sink_statistics", cat, trace=trace)
    assert result.values.shape == (rows,)
    last = trace.model.get("last_row_only", [])  # these have no states of the other rows
    massive = result["massive"].values
    assert np.isfinite(np.delete(massive, last, 0)).all()
    assert np.isnan(massive[last]).all()
    assert (found["state_dim"][last] == -1).all()


def test_the_likeness_of_tokens_is_measured_at_every_layers_input(model, cat):
    trace = model.answer(cat, "what is this?", None, 1)
    result = model.analyse("smoothing", cat, trace=trace)
    layers = trace.model["layers"]
    assert result.values.shape == (layers, 2)
    last = trace.model.get("last_row_only", [])
    found = {name: result[name].values for name in ("constant", "rank")} | {"": result.values}
    assert all(np.isnan(one[last]).all() for one in found.values())
    likeness, constant, rank = (np.delete(found[i], last, 0) for i in ("", "constant", "rank"))
    assert (np.abs(likeness) <= 1 + 1e-5).all()
    assert ((constant >= 0) & (constant <= 1 + 1e-5)).all()
    assert (rank >= 1 - 1e-3).all()
    assert np.isfinite(result["rises"].values)
