"""Attention masks in which some rows of the prompt cannot be attended to; True = may attend."""

from __future__ import annotations

import torch


def prompt_mask(length: int, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return the mask of the prefill, bool [1, 1, rows, rows].

    Args:
        length: rows of the prompt.
        hidden: numbers of the rows that no other row may attend to.
        mask: the layer's own; None = causal.
    """
    rows = torch.arange(length, device=hidden.device)
    sees = rows[None] <= rows[:, None] if mask is None else as_bool(mask)[0, 0]
    sees = sees.index_fill(1, hidden, False)  # [q, k], columns hidden
    # every row attends to itself: a softmax over no key would be not-a-number
    return (sees | torch.eye(length, dtype=torch.bool, device=sees.device))[None, None]


def step_mask(
    rows: int, keys: int, hidden: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Return the mask of one decode step, bool [1, 1, 1, keys].

    Args:
        rows: all rows so far, the new one included.
        keys: how many of them the layer's cache holds, the latest.
        hidden: numbers of the rows that may not be attended to.
        mask: the layer's own; None = all keys.
    """
    sees = torch.ones(1, 1, 1, rows, dtype=torch.bool, device=hidden.device)
    sees[..., hidden] = False
    sees = sees[..., rows - keys :]  # a cache with a sliding window drops the oldest keys
    return sees if mask is None else sees & as_bool(mask)


def as_bool(mask: torch.Tensor) -> torch.Tensor:
    """Return a bool mask of a bool or an additive one."""
    return mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
