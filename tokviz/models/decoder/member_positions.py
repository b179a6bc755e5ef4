"""Several positions for one merged token: each of its rotary frequencies follows one member.

In models with M-RoPE every frequency belongs to an axis (time, height, width). PPE splits each
axis' frequencies over several members of a merged token, so that the token has many places at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tokviz.reduction.ppe import rotary_sections


def frequency_rows(sections: Sequence[int], count: int) -> torch.Tensor:
    """Return which of the 3 x count position rows each frequency follows, int64 [d / 2].

    Row a x count + k is axis a of member k. As in the official code, chunk after chunk takes the
    next row, over and over.

    Args:
        sections: frequencies of each axis.
        count: members.
    """
    lengths = torch.tensor(rotary_sections(tuple(sections), count))
    chunk = torch.arange(len(lengths)).repeat_interleave(lengths)
    return chunk % (len(sections) * count)


class MemberPositions:
    """A hook on a decoder's rotary module: rotations of the merged rows are put in."""

    def __init__(self, rows: torch.Tensor, positions: torch.Tensor, sections: Sequence[int]):
        """Describe the merged rows.

        Args:
            rows: int64 [m], of the sequence that enters layer 0.
            positions: [3, m, k], of each row's members, axis by axis.
            sections: frequencies of each axis.
        """
        self.rows, self.positions = rows, positions
        self.follows = frequency_rows(sections, positions.shape[-1])

    def __call__(self, rotary: nn.Module, args: Any, kwargs: Any, made: Any) -> Any:
        """Return cos and sin [1, rows, d] with the merged rows' own."""
        hidden = args[0] if args else kwargs["x"]
        axes, m, count = self.positions.shape
        # [axes, m, k] -> [axes x k, m]; each as text-like positions, all axes alike
        flat = self.positions.permute(0, 2, 1).reshape(axes * count, m)
        alike = flat[None].expand(axes, -1, -1).to(hidden.device)
        # not called as a module: this hook would see its own call
        parts = rotary.forward(hidden, alike)
        follows = self.follows.to(hidden.device).repeat(2)  # both halves of d
        index = follows[None, None].expand(1, m, -1)
        out = []
        for whole, own in zip(made, parts, strict=True):  # own: [axes x k, m, d]
            whole = whole.clone()
            whole[0, self.rows] = own.gather(0, index)[0].to(whole.dtype)
            out.append(whole)
        return tuple(out)
