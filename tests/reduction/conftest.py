"""Signals to decide from: the nine tokens of the worked examples, and full random ones."""

import math

import numpy as np
import pytest
import torch

LAYERS, HEADS = 6, 2
ANGLES = [0, 12, 95, 5, 47, 88, 150, 180, 133]
HEAD_0 = [0.30, 0.05, 0.02, 0.20, 0.08, 0.03, 0.04, 0.12, 0.06]
HEAD_1 = [0.10, 0.04, 0.05, 0.22, 0.05, 0.02, 0.08, 0.16, 0.08]


def at_angles(degrees):
    radians = np.deg2rad(np.asarray(degrees, np.float64))
    return np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)


@pytest.fixture(name="at_angles")
def unit_vectors():
    """Unit vectors at angles in degrees."""
    return at_angles


@pytest.fixture
def t9():
    """The nine tokens on a 3 x 3 grid that most worked examples use."""
    return {
        "feats_pre": at_angles(ANGLES),
        "feats_post": at_angles(ANGLES),
        "k": at_angles(ANGLES)[None],
        "cls_attn": np.array([HEAD_0, HEAD_1], np.float32),
        "grid": [3, 3],
    }


def grid_for(n):
    rows = next(r for r in range(math.isqrt(n), 0, -1) if n % r == 0)
    return [rows, n // rows]


def random_signals(n=16, seed=0, crops=False):
    """Return every signal that a method before the language model can ask for."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    def softmax(x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return (e / e.sum(-1, keepdims=True)).astype(np.float32)

    features, weight = normal(n, 12), normal(12, 10)
    deep = LAYERS - 2
    logits = {layer: 2 * normal(HEADS, n) for layer in range(LAYERS)}
    attention = {layer: 0.9 * softmax(x) for layer, x in logits.items()}
    lm_rows = n + 3
    signals = {
        "num_layers": LAYERS,
        "cls_attn": attention,
        "cls_logits": logits,
        "recv_attn": {layer: softmax(normal(n)) for layer in range(LAYERS)},
        "full_attn": {deep: softmax(normal(HEADS, n + 1, n + 1))},
        **{name: {i: normal(HEADS, n + 1, 4) for i in range(LAYERS)} for name in ("q", "k", "v")},
        "feats_pre": features,
        "cls_pre": normal(12),
        "feats_post": np.tanh(features @ weight),
        "projector": lambda x: torch.tanh(x @ torch.as_tensor(weight, dtype=x.dtype)),
        "text_llm": normal(5, 10),
        "llm_first_queries": normal(HEADS, 5, 4),
        "llm_first_keys": normal(HEADS, n, 4),
        "text_clip": normal(2, 6),
        "img_clip": normal(n, 6),
        "relevance": normal(n),
        "asked_yes": rng.random(n).astype(np.float32),
        "grid": grid_for(n),
        "index": np.arange(n),
        "pixels": rng.random((3, 8 * grid_for(n)[0], 8 * grid_for(n)[1])).astype(np.float32),
        "unpad_mask": np.ones(n),
    }
    if n <= 64:
        signals["llm_attn"] = softmax(normal(2, HEADS, lm_rows, lm_rows))
        signals["llm_attn_grad"] = normal(2, HEADS, lm_rows, lm_rows)
        signals["llm_visual_rows"] = 1 + np.arange(n)
    if crops:
        signals |= crop_signals(n, softmax, normal)
    return signals


def crop_signals(n, softmax, normal):
    """A thumbnail and two tiles side by side, n / 3 tokens each."""
    side, parts = grid_for(n // 3), n // 3
    tiles = [("tile", *side, 0, 0), ("tile", *side, 0, side[1])]
    thumb = {layer: 2 * normal(HEADS, parts) for layer in range(LAYERS)}
    tile = {layer: 2 * normal(HEADS, 2, parts) for layer in range(LAYERS)}
    return {
        "crops": [("thumbnail", *side, 0, 0), *tiles],
        "thumb_cls_logits": thumb,
        "crop_cls_logits": tile,
        "thumb_cls_attn": {layer: softmax(x) for layer, x in thumb.items()},
        "crop_cls_attn": {layer: softmax(x) for layer, x in tile.items()},
    }


@pytest.fixture(name="random_signals", scope="session")
def make_random_signals():
    """Factory: (n, seed, crops) -> every signal a method before the language model can read."""
    return random_signals
