"""Decoder layers without attention (hybrid decoders): gaps in every array of attention.

In `attention`, `attention_heads`, `mass` and `flow` such a layer is NaN; what it has instead is in
the facts about the model. A mean over layers is over those that have attention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokviz.errors import InputError, MissingSignal

if TYPE_CHECKING:
    from tokviz.trace.trace import Trace

FACT = "without_attention"
"""The fact about a model that names these layers: what they have instead -> their numbers."""
LAST_ROW = "last_row_only"
"""The fact that names layers which compute only the last row of a prompt (Gemma 4 E2B, E4B)."""


def layer_gaps(trace: Trace, count: int | None = None) -> dict[int, str]:
    """Return the layers without attention, ascending -> what they have instead; {} in most runs.

    Args:
        trace: the run.
        count: layers of the array that is read; default = those of the model.
    """
    named = trace.model.get(FACT) or {}
    found = sorted((layer, kind) for kind, layers in named.items() for layer in layers)
    return {layer: kind for layer, kind in found if count is None or layer < count}


def attending(trace: Trace, count: int) -> np.ndarray:
    """Return the numbers of the layers with attention, of `count`, ascending."""
    gaps = layer_gaps(trace)
    return np.array([layer for layer in range(count) if layer not in gaps], np.int64)


def gap_sentence(trace: Trace, layer: int) -> str:
    """Return why a layer has no attention map; "" where it has one."""
    kind = layer_gaps(trace).get(layer)
    return f"Layer {layer} is {kind}: it has no attention map." if kind else ""


def attention_layer(trace: Trace, layer: int, count: int) -> int:
    """Return the number of a layer whose attention is asked for; it may count from the end.

    Raises:
        InputError: there is no such layer.
        MissingSignal: it has no attention.
    """
    if not -count <= layer < count:
        raise InputError(f"layer must be 0 to {count - 1}, got {layer}.")
    layer %= count
    if said := gap_sentence(trace, layer):
        near = attending(trace, count)
        raise MissingSignal(f"{said} Layers with attention: {', '.join(map(str, near))}.")
    return layer


def mean_over_layers(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean along an axis of layers, over those that have attention.

    Args:
        values: NaN in layers without.
        axis: of the layers.

    Returns:
        NaN where no layer has a number.
    """
    there = ~np.isnan(values)
    if there.all():
        return values.mean(axis)
    count = there.sum(axis)
    total = np.where(there, values, 0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(values.dtype)
