"""Which few heads look at one place, and where is it?"""

from typing import Annotated, Literal

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.pick import check_index
from tokviz.analysis.result import Part, Result, number
from tokviz.options import Range
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import attending
from tokviz.trace.layout import PATCH

THRESHOLD = 0.001
"""Attention above the mean that counts."""
AROUND = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]


@analysis(
    "localization_heads",
    title="Localization heads",
    group="where the model looks",
    needs=("attention_heads",),
    meaning="Bright = the few heads whose attention to the image lies on one or two places look "
    "here.",
    not_meaning="It does not say that these heads find things in other pictures: the publication "
    "counts over many, here one answer token decides.",
    exactness="heuristic",
    cost="No further run. Memory: n numbers per head and layer.",
    paper="https://arxiv.org/abs/2503.06287",
    year=2025,
)
def localization_heads(
    trace: Trace,
    *,
    token: int = 0,
    top: Annotated[int, Range(1, 100, 1)] = 3,
    variant: Literal["code", "paper"] = "code",
) -> Result:
    """Take the heads with the lowest spatial entropy among those that look at the image.

    For the row that chose answer token `token`. A head's entropy is that of the attention above its
    mean, summed over connected places (eight neighbours, in each tile). Only heads that look at
    the image enough count: all are sorted by their attention to it, and the elbow is the point
    farthest from the chord. "paper" counts heads with at least the attention of the elbow; the
    official code compares the heads' numbers with that of the elbow's head, so it counts heads of
    that and later layers. The values are the mean over the `top` heads. The publication chooses
    heads that are often among the first on 1,000 pictures.
    """
    if not trace.t:
        return Result(np.zeros(trace.n, np.float32), "n", notes=("There is no answer token.",))
    heads = trace["attention_heads"][check_index("token", token, trace.t)].astype(np.float32)
    depth, own = len(heads), attending(trace, len(heads))
    heads = heads[own]
    layers, count, _ = heads.shape
    total = heads.sum(-1).ravel()
    counts = looking(total, variant)
    entropy = np.full(layers * count, np.inf)
    for one in np.flatnonzero(counts):
        entropy[one] = spatial_entropy(heads[one // count, one % count], trace)
    order = np.argsort(entropy, kind="stable")[:top]
    order = order[np.isfinite(entropy[order])]
    shown = heads.reshape(layers * count, -1)[order]
    names = ", ".join(f"layer {own[one // count]} head {one % count}" for one in order)

    def by_head(values: np.ndarray) -> np.ndarray:
        """Return [l, h]; NaN in layers without attention."""
        table = values.reshape(layers, count)
        if layers == depth:
            return table
        whole = np.full((depth, count), np.nan)
        whole[own] = table
        return whole

    parts = {
        "entropy": Part(by_head(entropy), "l h", "spatial entropy, inf = not looked"),
        "share": Part(by_head(total), "l h", "attention to the image"),
        "looks": Part(by_head(counts), "l h", "True for heads past the elbow"),
        "heads": number(len(order), "heads that are shown"),
    }
    values = shown.mean(0) if len(order) else np.zeros(trace.n, np.float32)
    notes = (f"Heads: {names}." if names else "No head looks at one place of the image.",)
    return Result(values, "n", parts, notes=notes)


def looking(total: np.ndarray, variant: str) -> np.ndarray:
    """Return which heads look at the image enough, bool [heads].

    Args:
        total: attention to the image of each head, layer by layer.
        variant: paper = at least as much as the elbow; code = numbered like the elbow or higher.
    """
    order = np.argsort(total)
    curve = np.stack([np.arange(len(total)), total[order]], 1).astype(np.float64)
    chord = curve[-1] - curve[0]
    chord = chord / max(np.linalg.norm(chord), 1e-30)
    along = (curve - curve[0]) @ chord
    elbow = order[np.linalg.norm(curve - curve[0] - np.outer(along, chord), axis=1).argmax()]
    if variant == "code":
        return np.arange(len(total)) >= elbow
    return total >= total[elbow]


def spatial_entropy(attention: np.ndarray, trace: Trace) -> float:
    """Return the entropy, in nats, of the attention [n] above its mean over connected places.

    Infinite when nothing is above the mean.
    """
    above = np.maximum(attention - attention.mean(), 0)
    if above.sum() <= 0:
        return np.inf
    shares: list[float] = []
    for tile in range(len(trace.layout.tiles)):
        shares += places(above, trace, tile)
    probability = np.array(shares) / above.sum()
    return float(-(probability * np.log(probability)).sum())


def places(above: np.ndarray, trace: Trace, tile: int) -> list[float]:
    """Return the sum of each connected place of one tile."""
    layout = trace.layout
    own = (layout.tile == tile) & (layout.kind == PATCH) & (above > THRESHOLD)
    left = {
        (int(layout.row[token]), int(layout.col[token])): float(above[token])
        for token in np.flatnonzero(own)
    }
    sums = []
    while left:
        place, total = [next(iter(left))], 0.0
        while place:
            row, col = place.pop()
            if (row, col) in left:
                total += left.pop((row, col))
                place += [(row + down, col + right) for down, right in AROUND]
        sums.append(total)
    return sums
