"""Which patches did the vision tower turn into registers?

Registers are patches of unusually large norm. They lie on empty background and hold global instead
of local information (arXiv 2309.16588). Published absolute thresholds fit one model each, so the
default is a robust z-score.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.pick import check_index
from tokviz.analysis.ranks import top_k
from tokviz.analysis.result import Part, Result, number
from tokviz.options import Range
from tokviz.trace import Trace
from tokviz.trace.layout import PATCH

MAX_ATTENDED = 10


def robust_z(values: np.ndarray) -> np.ndarray:
    """Return (values - median) / (1.4826 x median absolute deviation) along the last axis.

    Where more than half of the values are equal, the deviation is 0 and every other value gets
    plus or minus infinity.
    """
    values = np.asarray(values, np.float64)
    off = values - np.median(values, -1, keepdims=True)
    spread = 1.4826 * np.median(np.abs(off), -1, keepdims=True)
    far = np.where(off == 0, 0.0, np.copysign(np.inf, off))
    return np.where(spread > 0, off / np.where(spread > 0, spread, 1), far)


@analysis(
    "registers",
    title="Registers and norm outliers",
    group="sinks and registers",
    needs=("feature_norm",),
    meaning="A marked patch has a far larger norm than the others: the tower stores information "
    "about the whole image in it.",
    not_meaning="A large norm does not say what the patch holds, nor that the language model "
    "reads it.",
    exactness="heuristic",
    cost="No further run. Memory: n numbers per tower layer.",
    paper="https://arxiv.org/abs/2309.16588",
    year=2023,
)
def registers(
    trace: Trace,
    *,
    layer: int | None = None,
    threshold: Annotated[float, Range(1, 100, 0.5)] = 10.0,
    norm: Annotated[float | None, Range(0, 1_000_000)] = None,
) -> Result:
    """Mark the patches whose norm is an outlier in the vision tower.

    Without a layer: the one whose output the language model gets. `threshold` is a robust z-score;
    `norm`, when given, is an absolute norm in its place (150 for DINOv2-L, 30 for CLIP B/16).
    """
    norms = trace["feature_norm"].astype(np.float32)
    if layer is None:
        layer = int(trace.model.get("feature_layer", len(norms) - 1))
    layer = check_index("layer", layer, len(norms))
    patch = trace.layout.kind == PATCH
    z = np.zeros(norms.shape)
    z[:, patch] = robust_z(norms[:, patch]) if patch.any() else 0
    marked = (z > threshold if norm is None else norms > norm) & patch
    parts = {
        "norm": Part(norms[layer], "n", "L2 norm of each patch"),
        "z": Part(z[layer], "n", "robust z-score of the norm"),
        "count": Part(marked.sum(1), "u", "registers after each tower layer"),
    }
    if "cls_attention" in trace:
        most = top_k(trace["cls_attention"][layer], MAX_ATTENDED)
        shared = np.intersect1d(most, np.flatnonzero(marked[layer]))
        part = len(shared) / max(int(marked[layer].sum()), 1)
        meaning = f"share of them among the {MAX_ATTENDED} patches that [CLS] attends to most"
        parts["attended"] = number(part, meaning)
    return Result(marked[layer], "n", parts)
