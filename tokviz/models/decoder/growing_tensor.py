"""Tensors that grow by a few columns at a time without a copy of what they hold."""

from __future__ import annotations

import torch

ROOM = 64
"""Columns for which a copied tensor has room, or an eighth of its length if that is more."""


class GrowingTensor:
    """The memory behind one growing tensor [..., columns, d]."""

    def __init__(self) -> None:
        """Begin without memory; the first tensor is copied."""
        self.memory = self.held = torch.empty(0)

    def append(self, held: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
        """Return `held` [..., columns, d] followed by `more` [..., new, d].

        Earlier results stay as they are: only memory behind them is written. A tensor that is not
        the last result, because columns were taken out of it, is copied.
        """
        columns, total = held.shape[-2], held.shape[-2] + more.shape[-2]
        if held is not self.held or total > self.memory.shape[-2]:
            room = total + max(ROOM, total // 8)
            self.memory = held.new_empty((*held.shape[:-2], room, held.shape[-1]))
            self.memory[..., :columns, :] = held
        self.memory[..., columns:total, :] = more
        self.held = self.memory[..., :total, :]
        return self.held
