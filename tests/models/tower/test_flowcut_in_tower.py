"""FlowCut removes patches while the tower runs, and a score goes along with those that are left."""

import numpy as np
import torch

import tokviz
from tokviz.capture import Capture
from tokviz.models.tower.reduce import encode_reduced

PROMPT = "what is this?"
KEEP = 9


def by_hand(tower, pixels):
    """The tower of four layers, features from layer 2: layer 0 scores, layer 1 scores and cuts."""
    states = tower.pre_layrnorm(tower.embeddings(pixels))
    left, running = torch.arange(states.shape[1] - 1), 0.0
    for number, block in enumerate(tower.encoder.layers[:3]):
        attention, width = block.self_attn, block.self_attn.head_dim
        x = block.layer_norm1(states)
        split = [p(x)[0].unflatten(1, (-1, width)).transpose(0, 1) for p in parts(attention)]
        query, key, value = split
        weights = (query @ key.transpose(1, 2) / width**0.5).softmax(2)
        mixed = (weights @ value).transpose(0, 1).flatten(1)
        states = states + attention.out_proj(mixed)[None]
        states = states + block.mlp(block.layer_norm2(states))
        if number == 2:
            break
        relation = weights[:, 0, 1:].mean(0)
        likeness = (value[:, :1] @ value.transpose(1, 2)).softmax(2)[:, 0, 1:].mean(0)
        score = relation / relation.sum() + likeness / likeness.sum()
        score = score * value.mean(0)[1:].abs().sum(1)
        running = score if number == 0 else (running + score) / 2
        if number == 1:
            best = running.topk(KEEP).indices.sort().values
            left, states = left[best], torch.cat([states[:, :1], states[:, 1:][:, best]], 1)
    return left, states[0, 1:]


def parts(attention):
    return attention.q_proj, attention.k_proj, attention.v_proj


def test_the_tower_cuts_where_a_tower_run_by_hand_does(vlm, cat):
    """Same patches, and the same features: those that stay no longer see those that went."""
    prepared = vlm.prepare([cat], PROMPT)
    (step,) = tokviz.plan("flowcut", keep=KEEP).steps
    layout, inputs = prepared.asked.layout, prepared.inputs
    shared = vlm.encode(prepared, [], Capture())
    with vlm.guarded():
        tiles = [(np.arange(layout.n), KEEP)]
        done = encode_reduced(vlm.family, vlm.model, inputs, shared, layout, tiles, step)
        left, states = by_hand(vlm.model.model.vision_tower, inputs["pixel_values"])
    assert done.kept[0].tolist() == left.tolist()
    assert torch.allclose(done.pre, states, atol=1e-5)
