"""What a model passes to a decoder layer, for the rows of the prompt that are still there."""

from __future__ import annotations

from typing import Any

import torch

Kwargs = dict[str, Any]


def sliced(kwargs: Kwargs, alive: torch.Tensor, total: int) -> Kwargs:
    """Remove the entries of removed rows from a layer's keyword arguments.

    Args:
        kwargs: of a layer of the full prompt.
        alive: [rows alive], ascending.
        total: rows of the full prompt.
    """
    out = dict(kwargs)
    if len(alive) == total:
        return out
    if out.get("position_ids") is not None:
        # [axes of M-RoPE or none, 1, rows] -> [..., rows alive]
        out["position_ids"] = out["position_ids"][..., alive]
    mask = out.get("attention_mask")
    if mask is not None and mask.ndim == 2:  # of a layer without attention, [1, rows]
        out["attention_mask"] = mask[:, alive]
    elif mask is not None:
        # [1, 1, q, k]: queries first, then keys; one index for both would take the diagonal
        out["attention_mask"] = mask[:, :, alive][..., alive]
    if out.get("position_embeddings") is not None:
        cos, sin = out["position_embeddings"]  # [1, rows, d_head] each
        out["position_embeddings"] = (cos[..., alive, :], sin[..., alive, :])
    known = ("position_ids", "attention_mask", "position_embeddings")
    return {n: one if n in known else cut(one, alive, total) for n, one in out.items()}


def cut(given: Any, alive: torch.Tensor, total: int) -> Any:
    """Return a further argument of a layer, without removed rows where it has one entry per row.

    Gemma 3n and Gemma 4 E2B and E4B give every layer an input of its own per token, [1, rows, p].
    """
    per_row = isinstance(given, torch.Tensor) and given.ndim == 3 and given.shape[1] == total
    return given[:, alive] if per_row and len(alive) < total else given
