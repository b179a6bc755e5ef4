"""MCTF: merge tokens that are similar, uninformative and of few patches."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import bipartite, schedules
from tokviz.reduction.parts.grouping import merge_labels, original_numbers, token_sizes
from tokviz.torch_on_use import torch

Positive = Annotated[float, Range(0.1, 100, 0.1)]


def pair_weights(
    cosines: torch.Tensor, attention: torch.Tensor, sizes: torch.Tensor, tau: tuple[float, ...]
) -> torch.Tensor:
    """Return the merge score of each pair [n, n]: similar, little attention, few patches.

    Args:
        cosines: [n, n] between hidden states.
        attention: [n], positive, attention that each token receives.
        sizes: [n], patches each token stands for.
        tau: temperatures of similarity, information and size; a high one counts little.
    """
    similarity = ((cosines + 1) / 2).clamp_min(0) ** (1 / tau[0])
    for values, temperature in ((attention, tau[1]), (sizes, tau[2])):
        inverse = 1 / values.clamp_min(1e-12)
        inverse = (inverse / inverse.max()) ** (1 / temperature)
        similarity = similarity * inverse[:, None] * inverse[None]
    return similarity


def merged_attention(attention: np.ndarray, reduction: Reduction) -> np.ndarray:
    """Return a softmax map after fusion without a second softmax [m, m]; rows keep their sums.

    Key columns of a group are added, query rows are averaged with the weights of the fusion.

    Args:
        attention: [n, n] before fusion.
        reduction: W [m, n], each token in one group.
    """
    return reduction.matrix() @ attention @ (reduction.matrix() > 0).T


def _schedule(n: int, keep: int, layers: int, **options):
    reached = keep * 2 ** (layers - 1) >= n and layers > 1
    first = 1 if reached else 0  # the published blocks are 1 to 11
    inner = schedules.over_all_layers(n, keep, layers - first)
    return [schedules.Stage(stage.layer + first, stage.keep) for stage in inner]


@method(
    "mctf",
    title="MCTF",
    training_free=False,
    place="tower",
    kind="merge",
    needs=("hidden", "recv_attn"),
    optional=("sizes", "index", "prefix", "layer"),
    space="pre",
    paper="https://arxiv.org/abs/2403.10030",
    year=2024,
    differs=("the tower was not fine-tuned with it",),
    code="mlvlab/MCTF",
    licence="MIT",
    schedule=_schedule,
)
def mctf(
    signals,
    keep: int,
    *,
    tau_similarity: Positive = 1.0,
    tau_information: Positive = 20.0,
    tau_size: Positive = 40.0,
    bidirectional: bool = True,
    pooling: Literal["attention", "size", "mean"] = "attention",
) -> Reduction:
    """Merge tokens that are similar, receive little attention and consist of few patches.

    The product of three criteria ranks the edges: half of the merges go from even to odd
    positions, the other half from odd tokens to even tokens that are not merged yet. A group is
    pooled with attention times size as weights (type 1 of the code; "size" is type 0, "mean" type
    3; type 2, the maximum of each channel, is not a weighted sum of tokens and is left out). Block
    0 merges only if the budget needs it.

    One-step-ahead attention as published re-uses this block's map, merged (`merged_attention`);
    here the block has attended with all tokens and the fusion follows, so its own map is exact. The
    published floor of ten tokens is left out: the budget decides.
    """
    n = signals.n
    r = bipartite.check_half(n, keep, "MCTF")
    if r == 0:
        return Reduction.identity(n)
    layer = int(signals["layer"]) if "layer" in signals else -1
    attention, sizes = signals.at("recv_attn", layer).cpu(), token_sizes(signals).cpu()
    willing = pair_weights(
        bipartite.cosine(signals["hidden"]),
        attention,
        sizes,
        (tau_similarity, tau_information, tau_size),
    )
    edges = bipartite.best_edges(willing, bipartite.prefix_of(signals))
    forward = edges.ranked[: r // 2 if bidirectional else r]
    merged = torch.zeros(len(edges.a), dtype=torch.bool)
    merged[forward] = True
    label = edges.label(merged)
    if bidirectional:
        label = _back(willing, edges, merged, label, r - len(forward))
    weight = {
        "attention": (attention * sizes / sizes.max()).clamp_min(1e-12),
        "size": sizes,
        "mean": torch.ones(n),
    }[pooling]
    return merge_labels(label, weight, original_numbers(signals), score=attention)


def _back(
    willing: torch.Tensor,
    edges: bipartite.Edges,
    merged: torch.Tensor,
    label: torch.Tensor,
    r: int,
) -> torch.Tensor:
    """Merge r odd tokens (with their members) into even tokens that are not merged yet.

    Output order: the even tokens, then the odd tokens that stay, highest merge score first.
    """
    alone = edges.a[~merged]
    alone = alone[label[alone].argsort()]
    best, partner = willing[edges.b][:, alone].max(1)
    ranked = torch.sort(best, descending=True, stable=True).indices
    target = torch.empty(len(edges.b), dtype=torch.long)
    target[ranked[:r]] = partner[ranked[:r]]
    target[ranked[r:]] = len(alone) + torch.arange(len(ranked) - r)
    return torch.cat([torch.arange(len(alone)), target])[label]
