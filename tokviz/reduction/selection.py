"""Choosing tokens by score, with one tie rule for all methods: the lower index wins."""

from __future__ import annotations

import torch

from tokviz.signals import Signals


def top_k(score: torch.Tensor, k: int) -> torch.Tensor:
    """Return the indices of the k highest scores, best first; ties go to the lower index.

    Args:
        score: [n], higher = more important.
        k: how many, clipped to 0..n.
    """
    return torch.sort(score, descending=True, stable=True).indices[: max(k, 0)]


def cls_score(signals: Signals, layer: int) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Return the head-mean [CLS] attention [n] of a layer, or the received attention and a note."""
    if "cls_attn" in signals:
        return signals.at("cls_attn", layer).mean(0), ()
    note = "This model has no [CLS] token: the mean attention that each patch receives was used."
    return signals.at("recv_attn", layer), (note,)
