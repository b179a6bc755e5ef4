"""Which layers attend in a simple way, and could be skipped?

ARank (gamma-MoD, arXiv 2410.13859): the rank of the part of the attention map below the diagonal,
mean over heads. A numerical rank depends on the number of rows and on the precision (here always
float32 with the usual tolerance), so the smooth effective rank is given beside it.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.analysis.supplied import Maps, whole_map
from tokviz.options import Range
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import layer_gaps

SPARED = 3
"""First layers that are never skipped."""


def effective_rank(singular: np.ndarray) -> np.ndarray:
    """Return exp(entropy of the singular values' shares) along the last axis; 0 where all are 0."""
    singular = np.asarray(singular, np.float64)
    total = singular.sum(-1, keepdims=True)
    share = singular / np.where(total > 0, total, 1)
    nats = -(share * np.log(np.where(share > 0, share, 1))).sum(-1)
    return np.where(total[..., 0] > 0, np.exp(nats), 0.0)


def attention_ranks(maps: np.ndarray) -> tuple[float, float]:
    """Return ARank and the mean effective rank of one layer.

    Args:
        maps: [h, q, q] softmax maps; the first is taken below the diagonal, the second whole.
    """
    maps = np.asarray(maps, np.float32)
    # The first row of a causal map is always (1, 0, ...), and the diagonal alone gives full rank:
    # only what lies below the diagonal says how different the rows are.
    below = np.linalg.svd(np.tril(maps, -1), compute_uv=False)
    tolerance = below.max(-1, keepdims=True) * maps.shape[-1] * np.finfo(np.float32).eps
    whole = np.linalg.svd(maps, compute_uv=False)
    return float((below > tolerance).sum(-1).mean()), float(effective_rank(whole).mean())


@analysis(
    "attention_rank",
    title="Rank of attention",
    group="layer by layer",
    needs=(),
    asks=("maps",),
    uses=("visual_rank",),
    forwards=lambda size, **options: 1,
    meaning="A low rank says that the rows of this layer attend in much the same way: a candidate "
    "for skipping.",
    not_meaning="It does not show that the layer can be skipped without harm, and it grows with "
    "the number of rows.",
    exactness="exact",
    cost="One forward over prompt and answer; one singular value decomposition per head and "
    "layer, cubic in the rows. Memory: the whole maps of one layer at a time.",
    paper="https://arxiv.org/abs/2410.13859",
    year=2024,
)
def attention_rank(
    trace: Trace, maps: Maps, *, most_rows: Annotated[int, Range(8, 4096, 8)] = 256
) -> Result:
    """Measure the rank and the effective rank of each layer's attention.

    Of more than `most_rows` rows, evenly spaced ones are used. `visual` is the effective rank
    of the visual tokens' states, where the run recorded it. `order` ranks the layers by their
    rank, the first to skip is 0; layers 0 to 2 and the last come at its end, since the official
    code never skips them, and so do layers without attention, which have no rank (NaN). The
    method gamma_mod takes such layers as its option `skip`; a note names the lowest half of
    those that may be skipped.
    """
    rows = len(trace.prompt_tokens) + max(trace.t - 1, 0)
    taken = np.unique(np.linspace(0, rows - 1, min(rows, most_rows)).astype(int))
    found = []
    gaps = layer_gaps(trace)
    for layer in range(int(trace.model["layers"])):
        if layer in gaps:
            found.append((np.nan, np.nan))
            continue
        whole = whole_map(maps, layer, rows)
        # [h, rows, rows] -> [h, taken, taken]: the same rows as queries and as keys
        found.append(attention_ranks(whole[:, taken[:, None], taken]))
    ranks, effective = np.array(found).reshape(-1, 2).T
    order, skip = skipping(ranks, gaps)
    parts = {
        "order": Part(order, "l", "place of the layer, 0 = the first one to skip"),
        "effective": Part(effective, "l", "effective rank of the maps, mean over heads"),
        "rows": number(len(taken), "rows that were used: the largest possible rank"),
    }
    if "visual_rank" in trace:
        parts["visual"] = Part(trace["visual_rank"], "l", "effective rank of the visual states")
    names = " ".join(map(str, skip))
    notes = (f"The lowest half of the layers that may be skipped: {names}.",) if names else ()
    return Result(ranks, "l", parts, notes=notes)


def skipping(ranks: np.ndarray, gaps: Container[int] = ()) -> tuple[np.ndarray, list[int]]:
    """Return the place of each layer [l] in the order of skipping, and the layers to skip.

    Args:
        ranks: [l], the rank of each layer.
        gaps: layers without attention, which come at the end like those that are never skipped.

    Returns:
        0 = the lowest rank among layers that may be skipped, equal ranks by layer; and the lower
        half of these layers, ascending.
    """
    last = len(ranks) - 1
    may = [layer for layer in range(len(ranks)) if SPARED <= layer < last and layer not in gaps]
    spared = [layer for layer in range(len(ranks)) if layer not in may]
    by_rank = sorted(may, key=lambda layer: (ranks[layer], layer))
    place = np.empty(len(ranks), np.int64)
    place[by_rank + spared] = np.arange(len(ranks))
    return place, sorted(by_rank[: (len(may) + 1) // 2])
