"""Do the layers agree on which image tokens matter?

G-Search (arXiv 2412.00556) is built on this: all layers except the first order the tokens in much
the same way. Sinks inflate the agreement, so it is also given without them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.ranks import average_ranks, kendall, top_k_jaccard
from tokviz.analysis.result import Part, Result
from tokviz.analysis.sinks import sink_mask
from tokviz.options import Range
from tokviz.trace import Trace

Measure = Literal["spearman", "kendall", "overlap"]


def agreement_matrix(maps: np.ndarray, measure: Measure = "spearman", k: int = 10) -> np.ndarray:
    """Compare every two maps.

    Args:
        maps: [l, n].
        measure: rank correlations, or the overlap of the k largest values.
        k: for the overlap.

    Returns:
        float64 [l, l], 1 on the diagonal; NaN where a map is constant, or a layer has no map.
    """
    gaps = np.isnan(maps).any(1)
    if gaps.any():
        out = np.full((len(maps), len(maps)), np.nan)
        out[np.ix_(~gaps, ~gaps)] = agreement_matrix(maps[~gaps], measure, k)
        return out
    if measure == "spearman":
        # Pearson of the ranks, all pairs in one product: [l, n] @ [n, l]
        ranks = np.array([average_ranks(m) for m in maps]).reshape(len(maps), -1)
        centred = ranks - ranks.mean(1, keepdims=True)
        norm = np.sqrt((centred**2).sum(1))
        unit = centred / np.where(norm > 0, norm, np.nan)[:, None]
        return unit @ unit.T
    pair = kendall if measure == "kendall" else lambda a, b: top_k_jaccard(a, b, k)
    out = np.ones((len(maps), len(maps)))
    for i, j in np.argwhere(np.tri(len(maps), k=-1)):
        out[i, j] = out[j, i] = pair(maps[i], maps[j])
    return out


def mean_off_diagonal(matrix: np.ndarray) -> float:
    """Return the mean over pairs, NaN left out; NaN when there is no pair."""
    values = matrix[~np.eye(len(matrix), dtype=bool)]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


@analysis(
    "layer_agreement",
    title="Agreement of layers",
    group="layer by layer",
    needs=("attention",),
    meaning="Bright = the two layers order the image tokens alike: what one finds important, the "
    "other does too.",
    not_meaning="Agreement does not show that the order is right, and sinks make layers agree.",
    exactness="exact",
    cost="No further run; layers x layers comparisons of n numbers. Memory: n numbers per "
    "answer token and layer.",
    paper="https://arxiv.org/abs/2412.00556",
    year=2024,
)
def layer_agreement(
    trace: Trace,
    *,
    token: int | None = None,
    measure: Measure = "spearman",
    k: Annotated[int, Range(1, 4096, 1)] = 10,
) -> Result:
    """Compare the attention of every two layers to the visual tokens.

    Without a token: the mean over the answer. `means` holds the mean agreement of all pairs of
    layers, of pairs without layer 0, and of all pairs without the tokens that are a sink in any
    layer.
    """
    attention = trace["attention"].astype(np.float32)
    if token is None:
        maps = attention.mean(0) if len(attention) else attention.sum(0)
    else:
        maps = attention[token]
    matrix = agreement_matrix(maps, measure, k)
    means = {
        "all layers": mean_off_diagonal(matrix),
        "without layer 0": mean_off_diagonal(matrix[1:, 1:]),
    }
    if "sink_phi" in trace and "hidden_size" in trace.model:
        never = ~sink_mask(trace)[0].any(0)  # [l, n] -> [n]: a sink in no layer
        if never.any():
            means["without sinks"] = mean_off_diagonal(agreement_matrix(maps[:, never], measure, k))
    part = Part(np.array(list(means.values())), "i", "mean over pairs of layers")
    return Result(matrix, "l l", {"means": part}, {"i": tuple(means)})
