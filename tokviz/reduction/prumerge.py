"""LLaVA-PruMerge: keep patches whose [CLS] attention is an outlier, merge the rest into them."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.options import fitted
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.selection import joined_heads, single_head_cls, top_k
from tokviz.reduction.parts.similarity import cosines
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch

NEIGHBOURS = 32


@method(
    "prumerge",
    title="PruMerge",
    place="before",
    kind="merge",
    needs=("q", "k"),
    fallbacks={"q": "cls_attn"},
    optional=("recv_attn",),
    space="pre",
    paper="https://arxiv.org/abs/2403.15388",
    year=2024,
    code="42Shawn/LLaVA-PruMerge",
    licence="Apache-2.0",
    adaptive=True,
    own_count=True,
    published=(
        Published(
            "128 tokens", "HoloV's paper", {"GQA": 53.3, "MME": 1554, "POPE": 67.2, "TextVQA": 54.3}
        ),
        Published(
            "64 tokens", "HoloV's paper", {"GQA": 51.9, "MME": 1549, "POPE": 65.3, "TextVQA": 54.0}
        ),
    ),
)
def prumerge(
    signals,
    keep: int,
    *,
    count: Literal["outliers", "budget"] = "outliers",
    neighbours: Annotated[int, Range(1, 128)] = NEIGHBOURS,
    variant: Literal["code", "paper"] = "code",
) -> Reduction:
    """Keep outliers of [CLS] attention and merge into each its most similar patches, kept or not.

    An outlier lies above Q3 + 1.5 (Q3 - Q1); with "budget" as many as fit are kept instead. A kept
    patch adds its `neighbours` most similar others (keys of all heads joined), weighted by their
    attention; one more token sums up everything that was not kept. The code takes the last layer as
    one wide head and does not divide by the weights; "paper" takes the layer before and weighted
    means. Output order: by attention, then the extra token. No outlier: the best patch is kept.
    """
    score, keys, notes = attention_and_keys(signals, variant)
    room = max(keep - 1, 1)
    kept = top_k(score, room if count == "budget" else min(max(outliers(score), 1), room))
    return merge_around(
        score, keys, kept, keep, neighbours, variant == "paper", notes, {"kept": kept}
    )


def attention_and_keys(
    signals: Signals, variant: str
) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Return the single-head [CLS] attention [n], joined keys [n, d] and notes of a variant."""
    layer = -1 if variant == "code" else -2
    score, notes = single_head_cls(signals, layer)
    return score, joined_heads(signals.patches("k", layer)), notes


def outliers(score: torch.Tensor) -> int:
    """Return how many scores [n] lie above the third quartile + 1.5 x interquartile range."""
    values = score.double().cpu().numpy()
    low, high = np.quantile(values, [0.25, 0.75])
    return int((values > high + 1.5 * (high - low)).sum())


def merge_around(
    score: torch.Tensor,
    keys: torch.Tensor,
    kept: torch.Tensor,
    keep: int,
    neighbours: int,
    mean: bool,
    notes: tuple[str, ...],
    roles: dict,
) -> Reduction:
    """Return the reduction in which kept patches add their neighbours, and one token the rest.

    Args:
        score: [n], weight of a patch when it is added to another.
        keys: [n, d].
        kept: int64 [k], in output order.
        keep: largest number of output tokens; with k = keep there is no extra token.
        neighbours: number of patches merged into each kept patch.
        mean: divide each row by the sum of its weights, in which the kept patch has its score.
        notes: sentences for the user.
        roles: roles of tokens for the user.
    """
    n, centre = len(score), kept.cpu().numpy()
    weight = score.double().cpu().numpy()
    similarity = torch.as_tensor(cosines(keys[kept], keys))
    similarity[torch.arange(len(centre)), torch.as_tensor(centre)] = -torch.inf
    ranked = torch.sort(similarity, dim=1, descending=True, stable=True).indices
    count, more = fitted("neighbours", neighbours, NEIGHBOURS, n - 1, f"there are {n} tokens")
    near = ranked[:, :count].numpy()
    rest = np.setdiff1d(np.arange(n), centre) if keep > len(centre) else centre[:0]
    extra = [len(centre)] * len(rest)
    rows = np.concatenate(
        [np.arange(len(centre)), np.repeat(np.arange(len(near)), near.shape[1]), extra]
    )
    cols = np.concatenate([centre, near.ravel(), rest]).astype(np.int64)
    own = weight[centre] if mean else np.ones(len(centre))
    weights = np.concatenate([own, weight[near.ravel()], weight[rest]])
    rows = rows.astype(np.int64)
    if mean:
        weights /= np.maximum(np.bincount(rows, weights), 1e-30)[rows]
    heaviest = rest[weight[rest].argmax()][None] if len(rest) else rest
    position = np.concatenate([centre, heaviest])
    return Reduction.from_entries(
        rows, cols, weights, n, len(position), position,
        score=score, order=centre, roles=roles, notes=notes + more,
    )  # fmt: skip
