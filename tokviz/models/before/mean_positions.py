"""Position ids of merged tokens as the means of their members', as in LLaVolta.

The official code (Beckschen/LLaVolta) averages positions with the pooling of the states and rounds
down. Any merge can have them here, and each axis of M-RoPE is averaged for itself.
"""

from __future__ import annotations

import torch

from tokviz.models.before.plan_steps import PlanSteps


def with_mean_positions(
    plan_steps: PlanSteps, rows: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Return positions in which each visual token has the mean of its members', rounded down.

    Args:
        plan_steps: the current visual tokens.
        rows: int64 [m], their rows of the sequence.
        positions: [..., 1, rows of the sequence].
    """
    whole, layout = plan_steps.whole, plan_steps.layout
    own = plan_steps.prepared.positions[..., torch.as_tensor(layout.position)]  # [..., 1, n]
    sums = whole.apply(own.movedim(-1, 0).double()).movedim(0, -1)  # [..., 1, m]
    weights = whole.apply(torch.ones(whole.n, dtype=torch.float64)).to(sums.device)
    # 1e-6: sums of float32 weights may miss a whole number
    mean = (sums / weights.clamp(min=1e-6) + 1e-6).floor().to(positions.dtype)
    changed = positions.clone()
    # a row of W without an entry has no mean and keeps its position
    changed[..., rows] = torch.where(weights > 0, mean, positions[..., rows])
    return changed
