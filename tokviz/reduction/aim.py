"""AIM, stage 1: merge similar tokens in rounds that halve their number."""

from __future__ import annotations

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts import bipartite
from tokviz.reduction.parts.grouping import merge_labels
from tokviz.reduction.parts.selection import joined_heads
from tokviz.torch_on_use import torch


@method(
    "aim",
    title="AIM stage 1",
    place="before",
    kind="merge",
    needs=("k",),
    fallbacks={"k": "feats_post"},
    space="pre",
    paper="https://arxiv.org/abs/2412.03248",
    year=2024,
    rest="aim_mask",
    code="LaVi-Lab/AIM",
    licence="Apache-2.0",
)
def aim(signals, keep: int, *, sizes: bool = False, layer: int = -1) -> Reduction:
    """Merge tokens at even places into their most similar odd ones, at most half in each round.

    The pairs of the best edges become means. For images the official code compares keys of the last
    tower layer, for video projected features; these are merged too. Means are unweighted, so a
    token that joins late weighs as much as a whole group; `sizes` weighs each token by its number
    of patches, which is not published. Output order: unmerged even tokens, most similar first, then
    the odd tokens; after a full halving, raster order. Stage 2, inside the language model, is the
    method "aim_mask".
    """
    notes = () if "k" in signals else ("There are no keys: projected features were compared.",)
    metric = joined_heads(signals.patches("k", layer)) if "k" in signals else signals["feats_post"]
    metric, whole = metric.cpu(), Reduction.identity(len(metric))
    ones = torch.ones(len(metric))
    while whole.m > keep:
        step = halved(
            metric, whole.m - keep, torch.as_tensor(whole.row_sizes) if sizes else ones[: whole.m]
        )
        metric = torch.as_tensor(step.apply(metric.numpy()))
        whole = whole.then(step)
    return Reduction.from_entries(
        whole.rows, whole.cols, whole.weights, whole.n, whole.m, whole.position, notes=notes
    )


def halved(metric: torch.Tensor, r: int, weight: torch.Tensor) -> Reduction:
    """Return one round that merges the r best edges, at most all of them.

    Args:
        metric: [n, d].
        r: how many tokens to merge away.
        weight: [n], of each token in its mean.
    """
    edges = bipartite.best_edges(bipartite.cosine(metric), prefix=0)
    chosen = edges.ranked[: min(r, len(metric) // 2)]
    merged = torch.zeros(len(edges.a), dtype=torch.bool)
    merged[chosen] = True
    return merge_labels(edges.label(merged), weight, torch.arange(len(metric)))
