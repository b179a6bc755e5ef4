"""TokenCorrCompressor: the more patches are similar, the fewer are needed."""

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.parts.selection import best_of, cls_score, joined_heads
from tokviz.reduction.parts.similarity import cosines


@method(
    "token_corr",
    title="TokenCorrCompressor",
    place="before",
    needs=("k", "cls_attn"),
    fallbacks={"cls_attn": "recv_attn"},
    optional=("crops", "tile", "cell"),
    paper="https://arxiv.org/abs/2407.14439",
    year=2024,
    code="JiuTian-VL/TokenCorrCompressor",
    verified=False,
    adaptive=True,
    own_count=True,
)
def token_corr(
    signals,
    keep: int,
    *,
    tau: Annotated[float, Range(0, 1, 0.01)] = 0.95,
    min_count: Annotated[int, Range(1, 64)] = 2,
    layer: int = -2,
) -> Reduction:
    """Keep as many tokens of each crop as it has patches without similar patches.

    A patch is redundant when the keys of at least `min_count` others have a cosine above `tau`. The
    share that is not redundant is the share kept, the best by [CLS] attention; where that is more
    than the budget, crops are cut in proportion.

    A stand-in: the official code has not been released. Both thresholds are tokviz's choice, and
    the paper samples informative tokens, while here the best are kept.
    """
    score, notes = cls_score(signals, layer)
    layout = CropLayout.of(signals)
    keys, attention = joined_heads(signals.patches("k", layer)), score.cpu().numpy()
    parts = [layout.members(crop) for crop in range(len(layout.crops))]
    counts = np.zeros(len(score), np.int64)
    for part in parts:
        counts[part] = look_alikes(cosines(keys[part]), tau)
    wanted = [int((counts[part] < min_count).sum()) for part in parts]
    if sum(wanted) > keep:
        wanted = list(np.diff(np.cumsum([0, *wanted]) * keep // sum(wanted)))
    order = np.concatenate(
        [best_of(attention, part, k) for part, k in zip(parts, wanted, strict=True)]
    )
    if not len(order):
        order = best_of(attention, np.arange(len(score)), 1)
    roles = {"redundant": np.flatnonzero(counts >= min_count)}
    return Reduction.select(order, len(score), score=score, order=order, roles=roles, notes=notes)


def look_alikes(similarity: np.ndarray, tau: float) -> np.ndarray:
    """Return how many others have a similarity above tau to each token, [n]."""
    alike = similarity > tau
    np.fill_diagonal(alike, False)
    return alike.sum(1)
