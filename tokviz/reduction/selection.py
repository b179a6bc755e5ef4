"""Choosing tokens by score, with one tie rule for all methods: the lower index wins."""

from __future__ import annotations

import torch

from tokviz.signals import Signals

NO_CLS = "This model has no [CLS] token: the mean attention that each patch receives was used."


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
    return signals.at("recv_attn", layer), (NO_CLS,)


def depth(signals: Signals, layer: int, published: int = 24) -> int:
    """Return a layer number that was published for a deep tower, scaled to this tower's depth."""
    layers = int(signals["num_layers"]) if "num_layers" in signals else published
    return round(layer * layers / published)
