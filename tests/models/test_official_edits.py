"""Mitigations in the engine, end to end, against the published computations typed anew here.

Nothing of `tokviz.mitigation` is used on the other side: a wrong formula there must show.
"""

import math

import pytest
import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from tests.models.decoder.test_mitigating import (
    NEW,
    PROMPT,
    differ,
    generated,
    image_columns,
    lane_logits,
    recomputed,
)
from tokviz.plans import plan

DIMS, TAU, P, RHO, LEAST = (5, 7), 1.5, 0.6, 0.5, 0.1


@pytest.fixture(scope="module")
def prepared(vlm, cat):
    return vlm.prepare(cat, PROMPT)


@pytest.fixture
def eager(vlm):
    """Run the model with whole maps: install(change), where change(logits, layer, input) edits."""
    decoder, inputs, handles = vlm.family.decoder(vlm.model), {}, []

    def install(change):
        def attend(module, query, key, value, attention_mask, scaling=None, **kwargs):
            groups, layer = query.shape[1] // key.shape[1], module.layer_idx
            key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
            logits = query @ key.transpose(-1, -2) * scaling + attention_mask[..., : key.shape[2]]
            weights = change(logits[0], layer, inputs[layer])[None]
            return (weights @ value).transpose(1, 2), weights

        for number, block in enumerate(decoder.layers):
            handles.append(
                block.register_forward_pre_hook(
                    lambda module, args, kwargs, number=number: inputs.update(
                        {number: (args[0] if args else kwargs["hidden_states"])[0]}
                    ),
                    with_kwargs=True,
                )
            )
        AttentionInterface.register("published", attend)
        AttentionMaskInterface.register("published", eager_mask)
        decoder.set_attn_implementation("published")

    yield install
    for handle in handles:
        handle.remove()
    decoder.set_attn_implementation("tokviz")


def test_var(vlm, prepared, eager, monkeypatch):
    """VisAttnSink: sinks by phi, heads by portion and mass, then part of the attention moves."""
    sinks, edited = {}, []

    def change(logits, layer, states):
        weights, keys = logits.softmax(-1), logits.shape[-1]
        if layer < 2:
            return weights
        if logits.shape[1] > 1:
            normed = states.float() / (states.float().pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
            sinks[layer] = normed[:, list(DIMS)].abs().amax(-1) > TAU
        sink = torch.cat([sinks[layer], torch.zeros(keys - len(sinks[layer]), dtype=torch.bool)])
        image = image_columns(prepared, keys)
        if not (sink & image).any():
            return weights
        first = int(image.nonzero()[-1]) + 1 if logits.shape[1] > 1 else 0
        for head in range(len(weights)):
            for row in range(first, weights.shape[1]):
                one = weights[head, row]
                visual, on_sinks = one[image].sum(), one[image & sink].sum()
                if visual < LEAST or on_sinks / visual > RHO:
                    continue
                budget, takers = (1 - P) * one[sink].sum(), one * (image & ~sink)
                moved = torch.where(sink, P * one, one) + budget * takers / takers.sum()
                weights[head, row] = moved
                edited.append((layer, head, row))
        return weights

    monkeypatch.setattr(vlm, "found_sink_dims", DIMS)
    options = {"p": P, "rho": RHO, "least_mass": LEAST, "tau": TAU}
    ours, run = lane_logits(vlm, prepared, plan(mitigation="var", **options))
    told = run.lane.editing.measured
    eager(change)
    theirs = generated(vlm, prepared)
    assert len(edited) > 0
    assert differ(ours, theirs) < 1e-4
    # the last word that generate() writes is not read again, and neither is ours
    assert told["edited_rows"] == len(edited) <= told["rows"]


def test_pai_attention(vlm, prepared, eager):
    """PAI: e + alpha |e| on the image, in the last row of layers 2 and on, before the softmax."""

    def change(logits, layer, states):
        if layer >= 2:
            image = image_columns(prepared, logits.shape[-1])
            row = logits[:, -1].clone()
            row[:, image] = row[:, image].abs() * 0.7 + row[:, image]
            logits[:, -1] = row
        return logits.softmax(-1)

    ours, _ = lane_logits(vlm, prepared, plan(mitigation="pai", alpha=0.7, gamma=1))
    eager(change)
    assert differ(ours, generated(vlm, prepared)) < 1e-4


def published_contrast(own, other, alpha, beta):
    """VCD and DAMRO: (1 + alpha) z - alpha z', out where z < log beta + max z."""
    mixed = (1 + alpha) * own - alpha * other
    return torch.where(own < own.max() + math.log(beta), -math.inf, mixed)


def published_guidance(own, text, gamma):
    """PAI: gamma (log p - log q) + log q, out where log p < log .1 + max log p."""
    own, text = torch.log(own.softmax(-1)), torch.log(text.softmax(-1))
    mixed = gamma * (own - text) + text
    return torch.where(own < own.max() + math.log(0.1), -math.inf, mixed)


def noised(pixels, step, seed):
    """VCD's forward diffusion: betas along a sigmoid, 1000 steps, one closed-form jump."""
    betas = torch.sigmoid(torch.linspace(-6, 6, 1000)) * (0.5e-2 - 1e-5) + 1e-5
    left = torch.cumprod(1 - betas, 0)[step]
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(seed))
    return left.sqrt() * pixels + (1 - left).sqrt() * noise


def same(ours, theirs):
    assert torch.equal(ours.isinf(), theirs.isinf())
    seen = ~theirs.isinf()
    torch.testing.assert_close(ours[seen], theirs[seen], atol=3e-4, rtol=1e-4)


@pytest.mark.parametrize(("alpha", "beta", "step"), [(1.0, 0.1, 500), (0.5, 0.5, 999)])
def test_vcd(vlm, prepared, alpha, beta, step):
    chosen = plan(mitigation="vcd", alpha=alpha, beta=beta, noise_step=step, seed=4)
    logits, run = lane_logits(vlm, prepared, chosen)
    pixels = noised(prepared.inputs["pixel_values"], step, 4)
    other = {**prepared.inputs, "pixel_values": pixels}
    for word in range(NEW - 1):
        read = [recomputed(vlm, one, run.lane.ids[:word]) for one in (prepared.inputs, other)]
        same(logits[word], published_contrast(*read, alpha, beta))


def test_pai_guidance(vlm, prepared):
    """With alpha 0 the run is unedited, so that guidance alone is seen, at every word."""
    ids = prepared.inputs["input_ids"]
    alone = {"input_ids": ids[ids != 4][None]}
    logits, run = lane_logits(vlm, prepared, plan(mitigation="pai", alpha=0, gamma=1.6))
    for word in range(NEW - 1):
        read = [recomputed(vlm, one, run.lane.ids[:word]) for one in (prepared.inputs, alone)]
        same(logits[word], published_guidance(*read, 1.6))


def test_damro(vlm, prepared):
    """The 4 tokens that one wide [CLS] head looks at most, alone, against the whole picture."""
    logits, run = lane_logits(vlm, prepared, plan(mitigation="damro", alpha=0.5, top=4))
    query, keys = (run.shared.layers[name][2][0] for name in ("q", "k"))
    wide = query[:, 0].flatten() @ keys.transpose(1, 2).flatten(0, 1)
    chosen = wide[1:].topk(4).indices.sort().values
    embed, ids = vlm.model.get_input_embeddings(), prepared.inputs["input_ids"][0]
    features = run.shared.features.tokens[chosen]
    at = torch.nonzero(ids == 4).flatten()
    for word in range(NEW - 1):
        answer = torch.tensor(run.lane.ids[:word], dtype=torch.long)
        few = torch.cat([embed(ids[: at[0]]), features, embed(ids[at[-1] + 1 :]), embed(answer)])
        with torch.inference_mode():
            states = vlm.family.decoder(vlm.model)(inputs_embeds=few[None]).last_hidden_state
            other = vlm.model.get_output_embeddings()(states[0, -1])
        own = recomputed(vlm, prepared.inputs, run.lane.ids[:word])
        same(logits[word], published_contrast(own, other, 0.5, 0.1))
