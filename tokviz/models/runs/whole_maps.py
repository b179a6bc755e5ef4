"""Attention maps over prompt and answer, which the model reads in two calls."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tokviz.models.attention_call import AttentionCall


def all_rows(call: AttentionCall) -> torch.Tensor:
    """Return the numbers of all rows of a call."""
    return torch.arange(call.query.shape[2], device=call.query.device)


def joined_map(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Join the maps of consecutive calls [1, h, rows, keys] into one [h, q, q], padded with 0."""
    q = parts[-1].shape[-1]
    padded = [torch.nn.functional.pad(p[0].detach(), (0, q - p.shape[-1])) for p in parts]
    return torch.cat(padded, 1)
