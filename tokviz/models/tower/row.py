"""One row of the vision tower (an image or a tile) while its tokens are reduced layer by layer.

A visual token is merged or removed with all of its patches. The square of patches that a pixel
shuffle, a merger or a pooling turns into one token stays complete, because the modules after the
tower need full squares. Squares are merged patch by patch: the upper left patch with the upper left
patch. Patches that belong to no visual token (padding that is cut off later) are never removed, and
neither is [CLS], since the model attends to them too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tokviz.matrix import Reduction
from tokviz.models.apply_reduction import apply_reduction
from tokviz.models.attention_call import AttentionCall
from tokviz.models.families.sources import Sources
from tokviz.models.tower.record_signals import TowerObserver, joined
from tokviz.models.tower.vision import token_signal
from tokviz.reduction import Stage

Follow = dict[str, torch.Tensor]


@dataclass
class TowerRow:
    """The current tokens of one row: u visual tokens of k patches each, p patches in all."""

    states: torch.Tensor
    "[skip + p, d], [CLS] (if any) first, then the p patches in the order of the tower."
    skip: int
    "1 with [CLS], else 0."
    units: torch.Tensor
    """int64 [u, k], the patches of each visual token, counted without [CLS]; a token of fewer than
    k patches lists some of them twice."""
    follow: Follow
    "Further inputs of the blocks per patch, [p, ...] each: rotary angles, the patch's window."
    grid: tuple[int, int]
    "(rows, cols) of all visual tokens of the row, before any reduction."
    stages: dict[int, Stage]
    "Tower layer -> stage."
    calls: list[AttentionCall] = field(default_factory=list)
    "Of the latest layer; several if the row attends window by window."
    deep: list[torch.Tensor] = field(default_factory=list)
    "[u, d] features of earlier layers, for later layers of the language model."
    joined: dict[int, torch.Tensor] = field(default_factory=dict)
    "Tower layer -> [u, k, d], for the layers whose outputs become the features."
    joined_cls: dict[int, torch.Tensor] = field(default_factory=dict)
    "Tower layer -> [skip, d], for the same layers."
    cls_attn: dict[int, torch.Tensor] = field(default_factory=dict)
    "Tower layer -> [h, u]."
    latest: tuple[int, Reduction] | None = None
    "Layer and reduction of the last stage."
    carried: torch.Tensor | None = None
    "[u], scores of the current tokens from the last stage that computed scores."
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Begin with every token, each of size 1."""
        count = len(self.units)
        self.sizes = np.ones(count, np.float32)
        self.whole = Reduction.identity(count)
        self.index = torch.arange(count, device=self.units.device)
        self.others = self._others()

    @property
    def patches(self) -> int:
        """Number of current patches."""
        return len(self.states) - self.skip

    def _others(self) -> torch.Tensor:
        """Return the patches that belong to no visual token, ascending."""
        free = torch.ones(self.patches, dtype=torch.bool, device=self.units.device)
        free[self.units.flatten()] = False
        return torch.nonzero(free).flatten()

    def squares(self) -> torch.Tensor:
        """Return the states of the visual tokens' patches, [u, k, d]."""
        # [p, d] indexed by [u, k] -> [u, k, d]
        return self.states[self.skip :][self.units]

    def join(self, layer: int) -> None:
        """Store the current states as a layer's part of the features."""
        self.joined[layer], self.joined_cls[layer] = self.squares(), self.states[: self.skip]

    def key_bias(self) -> torch.Tensor:
        """Return log(size) of each key's token, [skip + p] (proportional attention, ToMe)."""
        bias = torch.zeros(len(self.states), device=self.units.device)
        sizes = torch.as_tensor(self.sizes, device=self.units.device)
        # [u, 1] spread over the k patches of each token; patches of no token keep log 1 = 0
        bias[self.skip + self.units] = sizes.log()[:, None]
        return bias

    # -- signals ------------------------------------------------------------------------------

    def signal(self, name: str, observer: TowerObserver) -> torch.Tensor | None:
        """Return one of TOWER_SIGNALS over the current tokens; None if the model lacks it."""
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
        """Return the signals of TOWER_STEP; those per token are means over the token's patches."""
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
        """Return the row after a reduction, with its patches in the order of the tower."""
        patches, joint = self.states[self.skip :], self.units.shape[1]
        # W acts on whole squares: [u, k, d] -> [u, k * d] -> W -> [u', k * d] -> [u', k, d]
        made = apply_reduction(self.squares().flatten(1), done).unflatten(1, (joint, -1))
        position = torch.as_tensor(done.position, device=self.units.device)
        # A kept token is written to the patches of its representative:
        # own [q] = old patch numbers without repeats, slot [u' * k] = index in `own`.
        own, slot = self.units[position].flatten().unique(return_inverse=True)
        # [p'] old patch numbers: those of no token first, then those of the tokens
        came = torch.cat([self.others, own])
        # back to the tower's order: `order` maps a new row to its row in `came`
        order = came.argsort(stable=True)
        # a patch that a token lists twice gets the mean of its two values, [q, d]
        values = torch.cat([patches[self.others], gathered(made.flatten(0, 1), slot, len(own))])
        # `place` is the inverse of `order`: row in `came` -> new row
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
        """Return the sizes of the m new tokens, float32: each old size is split by the weights."""
        # [n], total weight with which each old token is used
        coverage = np.bincount(done.cols, np.abs(done.weights), minlength=done.n)
        share = np.abs(done.weights) / coverage[done.cols] * self.sizes[done.cols]
        return np.bincount(done.rows, share, minlength=done.m).astype(np.float32)

    def add_back(self, added: torch.Tensor, merged: TowerRow, done: Reduction) -> None:
        """Add attention's output for a merged token to every member of it.

        Args:
            added: [skip + p', d], attention's output for the tokens of `merged`.
            merged: this row, reduced.
            done: the reduction.
        """
        group = torch.as_tensor(done.group, device=self.units.device)
        states, patches = self.states.clone(), added[self.skip :]
        states[: self.skip] += added[: self.skip]
        states[self.skip + self.others] += patches[merged.others]
        own, slot = self.units.flatten().unique(return_inverse=True)
        # each old token reads the patches of its merged token: [u] -> [u, k, d] -> [u * k, d]
        values = patches[merged.units[group]].flatten(0, 1)
        states[self.skip + own] += gathered(values, slot, len(own))
        self.states = states


def _mean(values: torch.Tensor, axis: int) -> torch.Tensor:
    """Return the mean over the patches of a token; with one patch its bit-identical value."""
    if values.shape[axis] == 1:
        return values.squeeze(axis)
    return values.float().mean(axis).to(values.dtype)


def gathered(values: torch.Tensor, slot: torch.Tensor, count: int) -> torch.Tensor:
    """Return the mean of the values of each slot, [count, d]; bit-identical values if m = count.

    Args:
        values: [m, d].
        slot: int64 [m], the slot of each value; every slot has one.
        count: number of slots.
    """
    if len(values) == count:
        return values[slot.argsort()]
    # sum in float32: index_add_ in bfloat16 would lose small values
    sums = torch.zeros(count, values.shape[1], device=values.device)
    sums.index_add_(0, slot, values.float())
    return (sums / slot.bincount(minlength=count)[:, None]).to(values.dtype)
