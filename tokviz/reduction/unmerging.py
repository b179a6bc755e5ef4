"""Virtual unmerging (DyMU): let the language model attend as if every patch were still there.

Each group's token is copied to all its members' positions for the attention, and the outputs are
averaged back per group (arXiv 2504.17040). The paper also gives an exact decomposition of rotary
attention; copying by index is what its code does by default, being faster.
"""

from __future__ import annotations

import torch

from tokviz.errors import InputError
from tokviz.matrix import Reduction


def groups_of(reduction: Reduction) -> torch.Tensor:
    """Return int64 [n], the output token of every source token.

    Raises:
        InputError: a token was pruned, so there is nothing to put at its position.
    """
    group = torch.as_tensor(reduction.group)
    if (group < 0).any():
        raise InputError("virtual unmerging needs a merge in which no token is dropped.")
    return group


def unmerged(x: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Return x [m, ...] copied to every member [n, ...]."""
    return x[group]


def merged_back(x: torch.Tensor, group: torch.Tensor, m: int) -> torch.Tensor:
    """Return the mean [m, ...] of x [n, ...] over each group's members."""
    total = torch.zeros(m, *x.shape[1:], dtype=x.dtype, device=x.device).index_add_(0, group, x)
    return total / torch.bincount(group, minlength=m).view(-1, *[1] * (x.ndim - 1))
