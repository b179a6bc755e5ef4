"""Choosing what stays in a layer's KV cache, head by head: what the methods of the cache share."""

from __future__ import annotations

from typing import Any

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.per_head import GONE, of_heads
from tokviz.torch_on_use import torch

ONLY_VISUAL = "it chooses among visual tokens, text stays: the publication lets all rows compete"
ONCE = "the cache is shortened once, after the prefill, and grows again with the answer"


def per_key_head(score: torch.Tensor, kv_heads: int) -> torch.Tensor:
    """Return scores of query heads [h, a] as means over those that share a key head, [g, a].

    Raises:
        InputError: the query heads cannot be shared out evenly.
    """
    heads = len(score)
    if kv_heads < 1 or heads % kv_heads:
        raise InputError(f"kv_heads must divide the {heads} query heads, got {kv_heads}.")
    # query heads of one key head are neighbours: [h, a] -> [g, h/g, a]
    return score.reshape(kv_heads, heads // kv_heads, -1).mean(1)


def pooled(score: torch.Tensor, kernel: int, pooling: str) -> torch.Tensor:
    """Return scores [g, a] smoothed along the prompt; beyond its ends mean pooling reads zeros.

    Args:
        score: [g, a].
        kernel: odd number of rows.
        pooling: mean, max or none.
    """
    if kernel % 2 == 0:
        raise InputError(f"kernel must be odd, so that a row is in its middle; got {kernel}.")
    if pooling == "none" or not score.shape[-1]:
        return score
    pool: Any = torch.nn.functional.avg_pool1d if pooling == "mean" else torch.max_pool1d
    return pool(score[None], kernel, stride=1, padding=kernel // 2)[0]


def recent_first(score: torch.Tensor, rows: torch.Tensor, first: int) -> torch.Tensor:
    """Return scores of visual tokens in which those of the prompt's last rows come before others.

    Args:
        score: [g, n].
        rows: [n], row of each visual token.
        first: number of the first of the last rows.

    Returns:
        [g, n]; the later one of two recent tokens has the higher score.
    """
    top = score.max() + 1 if score.numel() else 0.0
    return torch.where(rows >= first, top + (rows - first), score)


def keep_per_head(ranked: torch.Tensor, keep: int, score: torch.Tensor, **known: Any) -> Reduction:
    """Return the decision in which each key head keeps its highest scores; ties to lower tokens.

    Args:
        ranked: [g, n], by which tokens are chosen.
        keep: tokens per head.
        score: [g, n], what is shown: its mean over heads.
        **known: provenance, such as roles.
    """
    heads, n = ranked.shape
    best = torch.sort(ranked, dim=-1, descending=True, stable=True).indices[:, :keep]
    order, into = best.cpu().numpy(), np.full((heads, n), GONE)
    np.put_along_axis(into, order, order, 1)
    return of_heads(into, score=score.mean(0), **known)
