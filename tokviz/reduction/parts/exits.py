"""Removal of all visual tokens at one layer: the decision that exit methods share."""

from __future__ import annotations

from tokviz.matrix import Reduction
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch


def leave(score: torch.Tensor, keep: int, everything: bool, notes: tuple[str, ...] = ()):
    """Return the reduction that drops every token, or all but the keep best.

    Args:
        score: [n], higher = kept first.
        keep: tokens that are kept if `everything` is False; n = nothing is removed.
        everything: remove all, as published.
        notes: sentences for the user.
    """
    n = len(score)
    if keep >= n:
        return Reduction.identity(n, score=score, notes=notes)
    order = top_k(score, 0 if everything else keep)
    return Reduction.select(order, n, score=score, order=order, notes=notes)
