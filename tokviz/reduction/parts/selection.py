"""Choosing tokens by score, with one tie rule for all methods: the lower index wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from tokviz.errors import MissingSignal
from tokviz.reduction.signal_table import SIGNALS
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch

NO_CLS = "This model has no [CLS] token: the mean attention that each patch receives was used."
CLS_ROW = "The received attention is missing: the [CLS] attention was used."
LLAVA_LAYERS = 24
"""Layers of CLIP ViT-L/14-336, the tower that published layer numbers refer to."""

Scored: TypeAlias = "tuple[torch.Tensor, tuple[str, ...]]"
"""A score [n] and notes about the fallbacks that were used."""


def top_k(score: torch.Tensor, k: int) -> torch.Tensor:
    """Return the indices of the k highest scores, best first; ties go to the lower index.

    Args:
        score: [n], higher = more important.
        k: how many, clipped to 0..n.
    """
    return torch.sort(score, descending=True, stable=True).indices[: max(k, 0)]


def best_of(score: np.ndarray, tokens: np.ndarray, k: int) -> np.ndarray:
    """Return the k tokens with the highest scores, best first; ties go to the lower number."""
    rank = torch.sort(torch.as_tensor(score[tokens]), descending=True, stable=True).indices
    return tokens[rank.numpy()[: max(k, 0)]]


def cls_score(signals: Signals, layer: int) -> Scored:
    """Return the head-mean [CLS] attention [n] of a layer; without it received attention, noted."""
    if "cls_attn" in signals:
        return signals.at("cls_attn", layer).mean(0), ()
    return signals.at("recv_attn", layer), (NO_CLS,)


def received_score(signals: Signals, layer: int) -> Scored:
    """Return the mean attention [n] that patches receive; without it [CLS] attention, noted."""
    if "recv_attn" in signals:
        return signals.at("recv_attn", layer), ()
    return signals.at("cls_attn", layer).mean(0), (CLS_ROW,)


def single_head_cls(signals: Signals, layer: int) -> Scored:
    """Return softmax([CLS] query x keys) of a layer with all heads joined into one wide head.

    Without the [CLS] query it is the head mean of the [CLS] attention, or the received attention,
    with a note.
    """
    if "q" in signals and "k" in signals:
        query, keys = signals.at("q", layer), signals.at("k", layer)
        if query.shape == keys.shape and keys.shape[1] == (signals.n or 0) + 1:
            width = query.shape[0] * query.shape[2]
            logits = torch.einsum("hd,hnd->n", query[:, 0], keys) / width**0.5
            return logits.softmax(0)[1:], ()
    if "cls_attn" in signals:
        note = "There is no [CLS] query: the head mean of the [CLS] attention was used."
        return signals.at("cls_attn", layer).mean(0), (note,)
    if "recv_attn" in signals:
        return signals.at("recv_attn", layer), (NO_CLS,)
    raise MissingSignal(f"the signal 'cls_attn' is missing: {SIGNALS['cls_attn'].meaning}")


def joined_heads(states: torch.Tensor) -> torch.Tensor:
    """Return [h, n, d] states as [n, h d], one wide head."""
    return states.transpose(0, 1).reshape(states.shape[1], -1)


def tower_layers(signals: Signals, name: str) -> int:
    """Return the number of tower layers; 24 if the signals do not say."""
    if "num_layers" in signals:
        return int(signals["num_layers"])
    if name not in signals:
        return LLAVA_LAYERS
    given = signals[name]
    whole = isinstance(given, Mapping) and set(given) == set(range(len(given)))
    return len(given) if whole else LLAVA_LAYERS


def in_tower(signals: Signals, name: str, layer: int) -> int:
    """Return a layer published for a 24-layer tower, scaled to the depth of this tower."""
    return round(layer * tower_layers(signals, name) / LLAVA_LAYERS)
