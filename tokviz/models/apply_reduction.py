"""A reduction's matrix, applied to features on the model's device."""

from __future__ import annotations

import torch

from tokviz.matrix import Reduction


def apply_reduction(x: torch.Tensor, reduction: Reduction) -> torch.Tensor:
    """Return W x for x [n, d], [m, d]; a selection gives bit-identical rows.

    Args:
        x: [n, d] on any device, in any float type; merging sums in float32.
        reduction: W as entries (row, column, weight).
    """
    cols = torch.as_tensor(reduction.cols, device=x.device)
    if reduction.is_selection:
        return x[cols]
    rows = torch.as_tensor(reduction.rows, device=x.device)
    weights = torch.as_tensor(reduction.weights, device=x.device)
    out = torch.zeros(reduction.m, x.shape[1], device=x.device)
    # [entries, d] added to their rows [m, d]; in float32, since bfloat16 sums lose small values
    return out.index_add_(0, rows, weights[:, None] * x[cols].float()).to(x.dtype)
