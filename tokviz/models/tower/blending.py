"""Visual tokens that are weighted means of patches, after patches were removed inside the tower.

LLaVA-OneVision scales the tokens of a large picture down after the tower: each token is a weighted
mean ("blend") of up to four patches, and neighbouring tokens share patches. Inside the tower each
patch belongs to one token, the nearest in its tile. A token that is kept is the same weighted mean
of the patches that are left, with their weights scaled to sum 1; a merged patch has the merged
state.
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
    """Return the kept tokens before and after the projector, [m, d_pre] and [m, d].

    Args:
        family: the model's family.
        model: the model.
        rows: the tower's rows after the last layer, one per tile.
        tokens: per tile, its visual tokens.
        sources: the patches of all visual tokens, with their weights.
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
    """The final states of all patches of a prompt's tiles, before and after the projector."""

    def __init__(self, sources: Sources) -> None:
        """Begin without any patch."""
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
            units: [tile tokens, k], flat patches that belong to each token of the tile.
        """
        # flat numbers count the patches of all rows; this row's begin at `begin`
        begin = int(units[0, 0]) // self.per_row * self.per_row
        free = np.setdiff1d(np.arange(self.per_row), units - begin) + begin
        # [tile tokens], the kept token that each token was merged into; -1 = removed
        group = row.whole.group
        index = np.concatenate([free, units[group >= 0].flatten()])
        there = torch.as_tensor(group[group >= 0], device=row.units.device)
        # states of `index`, [len(index), d]: patches of no token, then those of the tokens
        joined = torch.cat([row.states[row.skip :][row.others], row.squares()[there].flatten(0, 1)])
        pre = family.tower_leave(model, joined[:, None])
        values = pre, family.project(model, pre)
        at = torch.as_tensor(index, device=pre.device)
        # a patch can occur in two tokens: sum its values and count them, `blend` divides
        if self.count is None:
            self.count = torch.zeros(self.total, device=pre.device)
            self.sums = [torch.zeros(self.total, v.shape[1], device=pre.device) for v in values]
        self.count.index_add_(0, at, torch.ones(len(at), device=at.device))
        for sums, value in zip(self.sums, values, strict=True):
            sums.index_add_(0, at, value.float())
        self.dtype = pre.dtype

    def blend(self, sources: Sources, tokens: np.ndarray) -> list[torch.Tensor]:
        """Return the blends of some tokens, before and after the projector; 0 if no patch is left.

        Returns:
            [tokens, d_pre] and [tokens, d].
        """
        count: torch.Tensor = self.count  # type: ignore[assignment]
        index = torch.as_tensor(sources.index[tokens].clip(0), device=count.device)
        weight = torch.as_tensor(sources.means[tokens], dtype=torch.float32, device=count.device)
        weight = weight * (count[index] > 0)  # [tokens, patches of a token]; removed patches 0
        weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-12)
        part = (weight / count[index].clamp_min(1))[..., None]
        # [tokens, patches, d] * [tokens, patches, 1] -> [tokens, d]
        return [(sums[index] * part).sum(1).to(self.dtype) for sums in self.sums]
