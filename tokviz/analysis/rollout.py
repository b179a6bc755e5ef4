"""What reaches an answer token when attention is followed through all layers?

Attention rollout: the product of all layers' head-mean maps, each mixed half and half with the
identity for the residual stream. Only the answer's rows are carried, from the last layer to the
first. In causal models it ends up on the first token by construction, so that token can be left
out: its column is taken away in every layer and rows are normalised again. (A well-known public
implementation divides columns by row sums; rows are normalised here.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result
from tokviz.analysis.supplied import Maps, whole_map
from tokviz.trace import Trace

FUSE: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "max": np.max, "min": np.min}


def mixed(maps: np.ndarray, heads: str = "mean", without_first: bool = False) -> np.ndarray:
    """Return one layer's step of the rollout, float64 [q, q], rows sum to 1.

    Args:
        maps: [h, q, q] softmax maps.
        heads: how heads are made one: mean, max or min.
        without_first: take the first key away (the first row keeps it).
    """
    fused = FUSE[heads](maps, axis=0).astype(np.float64)
    if without_first:
        fused[1:, 0] = 0
    total = fused.sum(1, keepdims=True)
    fused = fused / np.where(total > 0, total, 1)
    step = fused + np.eye(len(fused))
    return step / step.sum(1, keepdims=True)


@analysis(
    "rollout",
    title="Attention rollout",
    needs=(),
    asks=("maps",),
    forwards=lambda size, **options: 1,
    meaning="Bright = much of the attention of this answer token leads back to this image token "
    "when all layers are followed.",
    not_meaning="It knows neither values nor feed-forward layers and is the same for every word "
    "that could have been said: it shows where information could have come from.",
    exactness="heuristic",
    cost="One forward over prompt and answer. Memory: the whole maps of one layer at a time.",
    paper="https://arxiv.org/abs/2005.00928",
    year=2020,
)
def rollout(
    trace: Trace,
    maps: Maps,
    *,
    heads: Literal["mean", "max", "min"] = "mean",
    without_first: bool = True,
) -> Result:
    """Follow the attention of each answer token back through all layers.

    The row is the one that chose the token. `first` is the share that ends on the first token of
    the prompt, `image` the share on the whole image.
    """
    s, t = len(trace.prompt_tokens), trace.t
    rows = s + max(t - 1, 0)
    carried = np.eye(rows)[s - 1 : s - 1 + t]
    for layer in reversed(range(int(trace.model["layers"]))):
        carried = carried @ mixed(whole_map(maps, layer, rows), heads, without_first)
    values = carried[:, trace.layout.position]
    parts = {
        "first": Part(carried[:, 0], "t", "share that ends on the first token of the prompt"),
        "image": Part(values.sum(1), "t", "share that ends on the image"),
    }
    return Result(values, "t n", parts, {"t": trace.pieces})
