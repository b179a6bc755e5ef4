"""Visual tokens that are blends of patches, when some of the patches have left the vision tower.

LLaVA-OneVision scales the tokens of a large picture down after the tower: each is a weighted mean
of up to four patches, and neighbours share patches. Inside the tower every patch goes with one
token, the nearest in its tile. A token that is left is the same blend as before of the patches
that are left, their weights scaled up to 1; a merged patch counts with the merged state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from tokviz.models.apply_reduction import apply_reduction
from tokviz.models.families.family import Family
from tokviz.models.families.sources import Sources
from tokviz.models.tower.row import TowerRow


def blended(
    family: Family,
    model: nn.Module,
    rows: Sequence[TowerRow],
    tokens: Sequence[np.ndarray],
    sources: Sources,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the tokens that are left, before and after the projector, [m, d_pre] and [m, d].

    Args:
        family: the model's family.
        model: the model.
        rows: the tower's rows after the last layer, one per tile.
        tokens: per tile, its visual tokens.
        sources: of all visual tokens.
    """
    patches = Patches(sources)
    for row, own in zip(rows, tokens, strict=True):
        patches.take(family, model, row, sources.leaving(own))
    made = [patches.blend(sources, own) for own in tokens]
    left = [
        [apply_reduction(values, row.whole) for values in one]
        for one, row in zip(made, rows, strict=True)
    ]
    pre, post = zip(*left, strict=True)
    return torch.cat(pre), torch.cat(post)


class Patches:
    """What every patch of a prompt's tiles has become, before and after the projector."""

    def __init__(self, sources: Sources) -> None:
        """Start with none."""
        self.total = sources.rows * sources.patches
        self.per_row = sources.patches
        self.count: torch.Tensor | None = None
        self.sums: list[torch.Tensor] = []

    def take(self, family: Family, model: nn.Module, row: TowerRow, units: np.ndarray) -> None:
        """Add the patches of a row.

        Args:
            family: the model's family.
            model: the model.
            row: after the last layer.
            units: [tile tokens, k], flat patches that went with each token of the tile.
        """
        begin = int(units[0, 0]) // self.per_row * self.per_row
        free = np.setdiff1d(np.arange(self.per_row), units - begin) + begin
        group = row.whole.group
        index = np.concatenate([free, units[group >= 0].flatten()])
        there = torch.as_tensor(group[group >= 0], device=row.units.device)
        joined = torch.cat([row.states[row.skip :][row.others], row.squares()[there].flatten(0, 1)])
        pre = family.tower_leave(model, joined[:, None])
        values = pre, family.project(model, pre)
        at = torch.as_tensor(index, device=pre.device)
        if self.count is None:
            self.count = torch.zeros(self.total, device=pre.device)
            self.sums = [torch.zeros(self.total, v.shape[1], device=pre.device) for v in values]
        self.count.index_add_(0, at, torch.ones(len(at), device=at.device))
        for sums, value in zip(self.sums, values, strict=True):
            sums.index_add_(0, at, value.float())
        self.dtype = pre.dtype

    def blend(self, sources: Sources, tokens: np.ndarray) -> list[torch.Tensor]:
        """Return the blends of some tokens, before and after the projector; 0 without any left."""
        count: torch.Tensor = self.count  # type: ignore[assignment]
        index = torch.as_tensor(sources.index[tokens].clip(0), device=count.device)
        weight = torch.as_tensor(sources.means[tokens], dtype=torch.float32, device=count.device)
        weight = weight * (count[index] > 0)
        weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-12)
        part = (weight / count[index].clamp_min(1))[..., None]
        return [(sums[index] * part).sum(1).to(self.dtype) for sums in self.sums]
