"""One row of the vision tower (an image or a tile) whose tokens grow fewer on their way through it.

What is merged or removed is a visual token with all of its patches: the square of patches that a
pixel shuffle, a merger or a pooling turns into one token stays together, so that what follows the
tower always gets full squares. Merging averages squares patch by patch, upper left with upper left.
Patches in no visual token (padding that is cut off later) stay to the end, as [CLS] does: the model
attends to them too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tokviz.matrix import Reduction
from tokviz.models.apply_reduction import apply_reduction
from tokviz.models.attention import AttentionCall
from tokviz.models.families.sources import Sources
from tokviz.models.tower.vision import token_signal
from tokviz.models.tower.watch import TowerObserver, joined
from tokviz.reduction import Stage

Follow = dict[str, torch.Tensor]


@dataclass
class TowerRow:
    """The current tokens of one row, between two halves of a block."""

    states: torch.Tensor
    "[skip + p, d], [CLS] (if any) first, then the p patches in the order of the tower."
    skip: int
    "1 with [CLS], else 0."
    units: torch.Tensor
    """int64 [u, k], the patches of each visual token, counted without [CLS]; some are written
    twice where a token has fewer than k."""
    follow: Follow
    "What goes with a patch, [p, ...] each: angles, the window it lies in."
    grid: tuple[int, int]
    "(rows, cols) of the visual tokens while all are there."
    stages: dict[int, Stage]
    "Tower layer -> stage."
    calls: list[AttentionCall] = field(default_factory=list)
    "Of the latest layer; several where the row attends window by window."
    deep: list[torch.Tensor] = field(default_factory=list)
    "[u, d] features of earlier layers, for later layers of the language model."
    joined: dict[int, torch.Tensor] = field(default_factory=dict)
    "Tower layer -> [u, k, d], of the layers whose outputs give the features."
    joined_cls: dict[int, torch.Tensor] = field(default_factory=dict)
    "Tower layer -> [skip, d], likewise."
    cls_attn: dict[int, torch.Tensor] = field(default_factory=dict)
    "Tower layer -> [h, u]."
    latest: tuple[int, Reduction] | None = None
    "Layer and reduction of the last stage."
    carried: torch.Tensor | None = None
    "[u], the score that the last stage that scored gave to what is left."
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Start with every token, each standing for itself."""
        count = len(self.units)
        self.sizes = np.ones(count, np.float32)
        self.whole = Reduction.identity(count)
        self.index = torch.arange(count, device=self.units.device)
        self.others = self._others()

    @property
    def patches(self) -> int:
        """Patches that are there."""
        return len(self.states) - self.skip

    def _others(self) -> torch.Tensor:
        """Patches in no visual token, ascending."""
        free = torch.ones(self.patches, dtype=torch.bool, device=self.units.device)
        free[self.units.flatten()] = False
        return torch.nonzero(free).flatten()

    def squares(self) -> torch.Tensor:
        """States of the visual tokens' patches, [u, k, d]."""
        # [p, d] indexed by [u, k] -> [u, k, d]
        return self.states[self.skip :][self.units]

    def join(self, layer: int) -> None:
        """Keep the current states as a layer's part of the features."""
        self.joined[layer], self.joined_cls[layer] = self.squares(), self.states[: self.skip]

    def key_bias(self) -> torch.Tensor:
        """Log of how many patches each key stands for, [skip + p] (proportional attention)."""
        bias = torch.zeros(len(self.states), device=self.units.device)
        sizes = torch.as_tensor(self.sizes, device=self.units.device)
        # [u, 1] spread over the k patches of each token; patches in no token keep log 1 = 0
        bias[self.skip + self.units] = sizes.log()[:, None]
        return bias

    # -- signals ------------------------------------------------------------------------------

    def signal(self, name: str, observer: TowerObserver) -> torch.Tensor | None:
        """Return one of TOWER_SIGNALS over the current tokens, None where it does not exist."""
        parts = [observer.compute(name, call) for call in self.calls]
        found = [part for part in parts if part is not None]
        if not found:
            return None
        value = joined(name, found, [self.patches])
        if name in ("q", "k", "v"):
            first, own = value[0][:, : self.skip], value[0][:, self.skip :]
            # [h, p, d_head] -> [h, u, k, d_head] -> mean over k -> [h, u, d_head], [CLS] in front
            return torch.cat([first, _mean(own[:, self.units], 2)], 1)
        tokens = np.arange(len(self.units))
        sources = Sources(self.units.cpu().numpy(), 1, self.patches)
        return token_signal(sources, name, value, tokens)

    def given(self, asked: set[str], observer: TowerObserver) -> dict[str, Any]:
        """Return the signals of TOWER_STEP that a method asks for: means over a token's patches."""
        count = len(self.units)
        signals: dict[str, Any] = {
            "sizes": torch.as_tensor(self.sizes, device=self.units.device),
            "prefix": self.skip,
            "index": self.index,
            "carried": self.carried,
            "grid": self.grid if count == self.grid[0] * self.grid[1] else None,
        }
        if "hidden" in asked:
            signals["hidden"] = _mean(self.squares(), 1)
        if "keys" in asked and self.calls:
            keys = torch.cat([call.key[0] for call in self.calls], 1)[:, self.skip :]
            # [h, p, d_head] -> [h, u, k, d_head] -> [h, u, d_head]
            signals["keys"] = _mean(keys[:, self.units], 2)
        return signals

    # -- reducing -----------------------------------------------------------------------------

    def reduced(self, done: Reduction) -> TowerRow:
        """Return the row after a reduction, the patches in the order of the tower."""
        patches, joint = self.states[self.skip :], self.units.shape[1]
        # W acts on whole squares: [u, k, d] -> [u, k * d] -> W -> [u', k * d] -> [u', k, d]
        made = apply_reduction(self.squares().flatten(1), done).unflatten(1, (joint, -1))
        position = torch.as_tensor(done.position, device=self.units.device)
        # where the tokens that are left are written: the patches of each one's representative,
        # own [q] old patch numbers without repeats, slot [u' * k] index in `own`
        own, slot = self.units[position].flatten().unique(return_inverse=True)
        # old patch number of each new row: free patches first, then the tokens' own [p']
        came = torch.cat([self.others, own])
        # the tower's order again; `order` is new row -> row of `came`
        order = came.argsort(stable=True)
        # a patch that a token holds twice gets the mean of its two values, [q, d]
        values = torch.cat([patches[self.others], gathered(made.flatten(0, 1), slot, len(own))])
        # `place` is the inverse: row of `came` -> new row
        values, place = values[order], order.argsort()
        left = TowerRow(
            torch.cat([self.states[: self.skip], values]),
            self.skip,
            place[len(self.others) + slot].view(-1, joint),
            {name: value[came[order]] for name, value in self.follow.items()},
            self.grid,
            self.stages,
            deep=[apply_reduction(deep, done) for deep in self.deep],
            joined={
                layer: apply_reduction(states.flatten(1), done).unflatten(1, (joint, -1))
                for layer, states in self.joined.items()
            },
            joined_cls=self.joined_cls,
            cls_attn=self.cls_attn,
            latest=self.latest,
            seconds=self.seconds,
        )
        left.sizes, left.whole = self._sizes_after(done), self.whole.then(done)
        left.index, left.others = self.index[position], place[: len(self.others)]
        score = self.carried if done.score is None else torch.as_tensor(done.score)
        left.carried = None if score is None else score.to(position.device)[position]
        return left

    def _sizes_after(self, done: Reduction) -> np.ndarray:
        """Share out each token's size to the rows that it went into, float32 [m]."""
        # [n] total weight with which each old token is used; its size is shared out by that
        coverage = np.bincount(done.cols, np.abs(done.weights), minlength=done.n)
        share = np.abs(done.weights) / coverage[done.cols] * self.sizes[done.cols]
        return np.bincount(done.rows, share, minlength=done.m).astype(np.float32)

    def add_back(self, added: torch.Tensor, merged: TowerRow, done: Reduction) -> None:
        """Add what attention gave to merged tokens to every member of them.

        Args:
            added: [skip + p', d], for the tokens of `merged`.
            merged: this row, reduced.
            done: the reduction.
        """
        group = torch.as_tensor(done.group, device=self.units.device)
        states, patches = self.states.clone(), added[self.skip :]
        states[: self.skip] += added[: self.skip]
        states[self.skip + self.others] += patches[merged.others]
        own, slot = self.units.flatten().unique(return_inverse=True)
        # each old token reads the patches of the one it went into: [u] -> [u, k, d] -> [u * k, d]
        values = patches[merged.units[group]].flatten(0, 1)
        states[self.skip + own] += gathered(values, slot, len(own))
        self.states = states


def _mean(values: torch.Tensor, axis: int) -> torch.Tensor:
    """Mean over the patches of a token; a copy, bit for bit, where there is one."""
    if values.shape[axis] == 1:
        return values.squeeze(axis)
    return values.float().mean(axis).to(values.dtype)


def gathered(values: torch.Tensor, slot: torch.Tensor, count: int) -> torch.Tensor:
    """Return the mean of the values [m, d] of each of `count` slots; bit for bit where m = count.

    Args:
        values: [m, d].
        slot: int64 [m], where each belongs; every slot has a value.
        count: number of slots.
    """
    if len(values) == count:
        return values[slot.argsort()]
    # sum in float32: index_add_ in bfloat16 would lose small values
    sums = torch.zeros(count, values.shape[1], device=values.device)
    sums.index_add_(0, slot, values.float())
    return (sums / slot.bincount(minlength=count)[:, None]).to(values.dtype)
