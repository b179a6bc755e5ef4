"""What reaches an answer token when attention is followed through all layers?

Attention rollout: the product of all layers' head-mean maps, each averaged with the identity for
the residual stream. Only the answer's rows are computed, from the last layer to the first. In a
causal model almost everything ends on the first token, which every row can see; so that token can
be left out: its column is set to 0 in every layer and rows are scaled up again. The largest or
smallest head (jacobgil/vit-explain) does not give rows that sum to 1: the identity is added to them
as they are, as in that code. That code then divides columns by row sums, so that its maps are no
shares; `divide` = columns does so, too. With the mean over heads both are the same.
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


def mixed(
    maps: np.ndarray, heads: str = "mean", without_first: bool = False, divide: str = "rows"
) -> np.ndarray:
    """Return one layer's step of the rollout, float64 [q, q]; with `divide` = rows these sum to 1.

    Args:
        maps: [h, q, q] softmax maps.
        heads: how the heads are combined: mean, max or min.
        without_first: set attention to the first key to 0, except in the first row, which has no
            other key.
        divide: by the sums of the rows: rows, each by its own; or columns, each by the sum of the
            row of the same number.
    """
    fused = FUSE[heads](maps, axis=0).astype(np.float64)
    if without_first:
        before = fused.sum(1, keepdims=True)
        fused[1:, 0] = 0
        after = fused.sum(1, keepdims=True)
        fused = fused * before / np.where(after > 0, after, 1)
    step = fused + np.eye(len(fused))
    return step / step.sum(1, keepdims=divide == "rows")  # [q, 1], or [q] over the columns


@analysis(
    "rollout",
    title="Attention rollout",
    group="where the model looks",
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
    divide: Literal["rows", "columns"] = "rows",
) -> Result:
    """Follow the attention of each answer token back through all layers.

    Each answer token is represented by the row that chose it. `first` is the share that ends on
    the first token of the prompt, `image` the share that ends on the image. With `divide` =
    columns, as in the code of vit-explain, these are shares only for the mean over heads.
    """
    s, t = len(trace.prompt_tokens), trace.t
    rows = s + max(t - 1, 0)
    # [t, rows]: row s - 1 + i chose answer token i; times one map [rows, rows] per layer
    carried = np.eye(rows)[s - 1 : s - 1 + t]
    for layer in reversed(range(int(trace.model["layers"]))):
        carried = carried @ mixed(whole_map(maps, layer, rows), heads, without_first, divide)
    values = carried[:, trace.layout.position]
    parts = {
        "first": Part(carried[:, 0], "t", "share that ends on the first token of the prompt"),
        "image": Part(values.sum(1), "t", "share that ends on the image"),
    }
    return Result(values, "t n", parts, {"t": trace.pieces})
