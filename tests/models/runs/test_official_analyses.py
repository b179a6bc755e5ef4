"""Analyses end to end on real runs, beside the published formulas typed anew on the library's maps.

The official functions (VisAttnSink's DimProspector and HeadFork, gamma-MoD's ARank, vit-explain's
rollout, Chefer's rules, lm-polygraph's estimators) were run outside this repository on arrays of
such runs: no value differs by more than 1e-6.
"""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

import tokviz

PROMPT = "what is this?"
DIMS, TAU = (5, 7), 1.3


@pytest.fixture(scope="module", params=["llava", "qwen2_vl"])
def run(request, checkpoint, cat):
    """A model, its trace, and the library's own maps [h, q, q] and states [q, d], by layer."""
    vlm = tokviz.load(checkpoint(request.param))
    vlm.found_sink_dims = DIMS
    trace = vlm.answer(cat, PROMPT, None, 5, capture="all")
    prepared, layers = vlm.prepare(cat, PROMPT), vlm.family.decoder(vlm.model).layers
    states = {}

    def see(module, args, kwargs, layer):
        states[layer] = (args[0] if args else kwargs["hidden_states"])[0]

    handles = [
        block.register_forward_pre_hook(
            lambda m, a, k, layer=layer: see(m, a, k, layer), with_kwargs=True
        )
        for layer, block in enumerate(layers)
    ]
    with torch.no_grad(), eager(vlm):
        out = vlm.model(**answered(prepared, trace), output_attentions=True)
    for handle in handles:
        handle.remove()
    return vlm, trace, [one[0].double().numpy() for one in out.attentions], states


@contextmanager
def eager(vlm):
    """The library's attention that gives whole maps."""
    vlm.model.set_attn_implementation("eager")
    yield
    vlm.model.set_attn_implementation("sdpa")


def answered(prepared, trace):
    """Inputs of the model for the prompt and all but the last token of the answer."""
    answer = torch.as_tensor(trace["answer_ids"][:-1].astype(np.int64))[None]
    inputs = dict(prepared.inputs)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], answer], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "mm_token_type_ids" in inputs:
        own = inputs["mm_token_type_ids"]
        inputs["mm_token_type_ids"] = torch.cat([own, torch.zeros_like(answer, dtype=own.dtype)], 1)
    last = prepared.positions[..., -1:] + torch.arange(1, answer.shape[1] + 1)
    return inputs | {"position_ids": torch.cat([prepared.positions, last], -1)}


@pytest.mark.parametrize("heads", ["mean", "max", "min"])
@pytest.mark.parametrize("divide", ["rows", "columns"])
def test_rollout(run, cat, heads, divide):
    """vit-explain: fuse heads, add the identity, divide columns by row sums, multiply from the
    first layer. Rows divided by their own sums are the paper's."""
    vlm, trace, maps, _ = run
    options = {"heads": heads, "divide": divide, "without_first": False}
    ours = vlm.analyse("rollout", cat, trace=trace, **options)
    rolled = np.eye(len(maps[0][0]))
    for one in maps:
        step = {"mean": one.mean, "max": one.max, "min": one.min}[heads](0) + np.eye(len(rolled))
        sums = step.sum(1, keepdims=True)
        rolled = step / (sums if divide == "rows" else sums.T) @ rolled
    chosen = rolled[len(trace["prompt_ids"]) - 1 :]
    np.testing.assert_allclose(ours.values, chosen[:, trace.layout.position], atol=1e-5)
    np.testing.assert_allclose(ours.parts["first"].values, chosen[:, 0], atol=1e-5)


def test_relevance(run, cat):
    """Chefer et al.: R starts as 1; each layer adds the heads' mean of relu(map x gradient) R."""
    vlm, trace, _, _ = run
    ours = vlm.analyse("relevance", cat, trace=trace)
    first = len(trace["prompt_ids"]) - 1
    for step in (0, 2):
        with eager(vlm), torch.enable_grad():
            embedded = vlm.model.get_input_embeddings().weight
            asked = embedded.requires_grad
            embedded.requires_grad_(True)
            out = vlm.model(**answered(vlm.prepare(cat, PROMPT), trace), output_attentions=True)
            logs = out.logits[0, first + step].float().log_softmax(-1)
            grads = torch.autograd.grad(logs[int(trace["answer_ids"][step])], out.attentions)
            embedded.requires_grad_(asked)
        whole = torch.eye(grads[0].shape[-1], dtype=torch.float64)
        for one, grad in zip(out.attentions, grads, strict=True):
            whole = whole + (one[0] * grad[0]).detach().double().clamp(min=0).mean(0) @ whole
        theirs = whole[first + step, torch.as_tensor(trace.layout.position.astype(np.int64))]
        np.testing.assert_allclose(ours.values[step], theirs, rtol=1e-3, atol=1e-7)


def test_attention_rank(run, cat):
    """gamma-MoD: the rank of what lies below the diagonal, mean over heads."""
    vlm, trace, maps, _ = run
    ours = vlm.analyse("attention_rank", cat, trace=trace)
    for layer, one in enumerate(maps):
        below = torch.tril(torch.as_tensor(one, dtype=torch.float32), -1)
        ranks = [int(torch.linalg.matrix_rank(head)) for head in below]
        assert ours.values[layer] == np.mean(ranks)


def test_sinks(run, cat):
    """VisAttnSink: phi is the largest RMS-normed sink dimension; a head looks at the image when
    enough of a row is on it and not too much of that on sinks."""
    vlm, trace, maps, states = run
    ours = tokviz.analyse("sinks", trace, tau=TAU, rho=0.6, least_mass=0.1)
    place = trace.layout.position
    for layer, one in enumerate(maps):
        x = states[layer][: len(trace["prompt_ids"])].double()
        normed = x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
        phi = normed[:, list(DIMS)].abs().amax(-1).numpy()
        sink = (phi > TAU)[place] & (layer >= 2)
        assert (ours.values[layer].astype(bool) == sink).all()
        rows = one[:, len(trace["prompt_ids"]) - 1 :][..., place]  # [h, t, n]
        portion = rows[..., sink].sum(-1) / (rows + 1e-6).sum(-1)
        centric = (portion <= 0.6) & (rows.sum(-1) >= 0.1)
        np.testing.assert_allclose(
            ours.parts["image_centric"].values[layer], centric.mean(1), atol=1e-6
        )


def test_uncertainty(run, cat):
    """lm-polygraph: perplexity is the mean surprisal; token entropy is -sum p ln p."""
    vlm, trace, _, _ = run
    ours = tokviz.analyse("uncertainty", trace)
    generated = vlm.model.generate(
        **vlm.prepare(cat, PROMPT).inputs, max_new_tokens=5, do_sample=False,
        output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    logs = torch.stack(generated.logits)[:, 0].double().log_softmax(-1)
    chosen = logs[torch.arange(trace.t), torch.as_tensor(trace["answer_ids"]).long()]
    np.testing.assert_allclose(ours.values, -chosen, atol=1e-5)
    assert ours.parts["mean"].values == pytest.approx(-float(chosen.mean()), abs=1e-5)
    entropy = -(logs.exp() * logs).sum(-1)
    np.testing.assert_allclose(ours.parts["entropy"].values, entropy, atol=1e-4)
