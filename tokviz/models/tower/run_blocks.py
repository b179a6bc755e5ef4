"""Runs the vision tower's blocks one by one, with token reduction between their halves.

A block consists of the library's own modules in the library's own order. Two things are added
between its two halves: the reduction, and a key bias of log(size) for tokens that represent several
(proportional attention, ToMe). Rows (images, tiles) form one batch while they are equally long, or
one sequence if the library runs them so. With nothing removed the result equals the library's
forward bit for bit. The method decides in each row separately, and on whole visual tokens
(`tokviz.models.tower.row`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from tokviz.matrix import Reduction
from tokviz.models.attention import observed
from tokviz.models.attention_call import AttentionCall, seen_keys
from tokviz.models.clock import now
from tokviz.models.families.family import Family
from tokviz.models.tower.record_signals import TOWER_SIGNALS, TowerObserver
from tokviz.models.tower.row import TowerRow
from tokviz.plans import Step
from tokviz.reduction import reduce


class TowerRun:
    """All rows of a prompt in one run through the tower's blocks."""

    def __init__(
        self, family: Family, model: nn.Module, step: Step, rows: Sequence[TowerRow], packed: bool
    ) -> None:
        """Args: `packed` = True if the tower runs all rows as one sequence."""
        self.family, self.model, self.step = family, model, step
        self.rows, self.packed = list(rows), packed
        self.observer = TowerObserver(family, model, {})
        self.layers = family.feature_layer(model) + 1
        self.depth = len(family.tower_layers(model))
        self.joins = family.tower_joins(model)
        entry = step.entry
        self.supplied: set[str] = set()
        "Names of the signals that the decisions were given."
        self.asked = {*entry.needs, *entry.optional, *entry.fallbacks.values()}  # type: ignore[union-attr]

    def run(self) -> None:
        """Run every layer up to the last one whose output becomes the features."""
        for row in self.rows if -1 in self.joins else ():
            row.join(-1)
        for layer in range(self.layers):
            if self.unmerges:
                self.attend_merged(layer)
            else:
                self.attend(layer, self.rows)
                self.rows = [self.shortened(row, layer) for row in self.rows]
            for group in self.groups(self.rows):
                states = self.family.tower_mlp(self.model, layer, self.together(group))
                self.apart(group, states)
            for row in self.rows:
                row.deep += self.family.tower_deep(self.model, layer, row.squares())
                if layer in self.joins:
                    row.join(layer)

    @property
    def unmerges(self) -> bool:
        """True for methods that merge only for the attention of one layer."""
        return self.step.entry.effect == "unmerge"  # type: ignore[union-attr]

    # -- rows as the library's batch --------------------------------------------------------------

    def groups(self, rows: Sequence[TowerRow]) -> list[list[TowerRow]]:
        """Return the rows that run as one batch: equally long ones, or all as one sequence."""
        if self.packed:
            return [list(rows)]
        by_length: dict[int, list[TowerRow]] = {}
        for row in rows:
            by_length.setdefault(len(row.states), []).append(row)
        return list(by_length.values())

    def together(self, group: list[TowerRow]) -> torch.Tensor:
        """Return the states of a group: [rows, tokens, d]; if packed, [1, all tokens, d]."""
        states = [row.states for row in group]
        # packed: one sequence of all rows; else equally long rows as a batch
        return torch.cat(states)[None] if self.packed else torch.stack(states)

    def apart(self, group: list[TowerRow], states: torch.Tensor) -> None:
        """Set the states of a group's rows, the inverse of `together`."""
        parts = states[0].split([len(row.states) for row in group]) if self.packed else states
        for row, own in zip(group, parts, strict=True):
            row.states = own

    # -- outputs that become the features ---------------------------------------------------------

    def squares(self, row: TowerRow) -> torch.Tensor:
        """Return the states of a row's visual tokens, joined layers side by side, [u, k, d]."""
        return torch.cat([row.joined[layer] for layer in self.joins], -1)

    def cls_state(self, row: TowerRow) -> torch.Tensor:
        """Return the [CLS] state of the same layers, [d]."""
        return torch.cat([row.joined_cls[layer][0] for layer in self.joins], -1)

    # -- attention --------------------------------------------------------------------------------

    def attend(self, layer: int, rows: Sequence[TowerRow]) -> None:
        """Run a block's attention half; every row keeps its attention calls."""
        for group in self.groups(rows):
            join = torch.cat if self.packed else torch.stack
            names = group[0].follow
            follow = {name: join([row.follow[name] for row in group]) for name in names}
            for row in group:
                row.calls = []
            with observed(BlockCalls(group, self.packed)):
                states = self.together(group)
                states = self.family.tower_attend(self.model, layer, states, follow)
            self.apart(group, states)
        if self.observer.has_cls:
            for row in rows:
                row.cls_attn[layer] = row.signal("cls_attn", self.observer)  # type: ignore[assignment]

    def attend_merged(self, layer: int) -> None:
        """Merge, attend, and add attention's output to every member of a merged token."""
        done = [self.decide(row, layer) for row in self.rows]
        merged = [
            row if one is None else row.reduced(one)
            for row, one in zip(self.rows, done, strict=True)
        ]
        for row in merged:
            row.sizes = np.ones_like(row.sizes)
        before = [row.states for row in merged]
        self.attend(layer, merged)
        for row, one, short, entered in zip(self.rows, done, merged, before, strict=True):
            if one is not None:
                row.add_back(short.states - entered, short, one)
                row.calls = short.calls

    # -- decisions --------------------------------------------------------------------------------

    def shortened(self, row: TowerRow, layer: int) -> TowerRow:
        """Return the row after its stage at a layer, or as it is."""
        done = self.decide(row, layer)
        return row if done is None else row.reduced(done)

    def decide(self, row: TowerRow, layer: int) -> Reduction | None:
        """Run the method on the current tokens of a row; None if it has no stage at this layer."""
        stage = row.stages.get(layer)
        if stage is None:
            return None
        began = now(row.states.device)
        given = row.given(self.asked, self.observer)
        given |= {"layer": layer, "num_layers": self.depth, "layers_run": self.layers}
        for name in self.asked & set(TOWER_SIGNALS):
            given[name] = row.signal(name, self.observer) if row.calls else None
        signals = {name: value for name, value in given.items() if name in self.asked}
        self.supplied |= {name for name, value in signals.items() if value is not None}
        keep = min(stage.keep, len(row.units))
        done = reduce(self.step.method, signals, keep, **self.step.options)
        row.latest = (layer, done)
        row.seconds += now(row.states.device) - began
        return done


class BlockCalls:
    """Observer that adds each attention call of one layer to its row, and biases merged keys."""

    def __init__(self, group: list[TowerRow], packed: bool) -> None:
        """Args: `group` = the rows of the batch; `packed` = True if they are one sequence."""
        self.group, self.packed = group, packed
        self.bias: torch.Tensor | None = None
        if any((row.sizes != 1).any() for row in group):
            biases = [row.key_bias() for row in group]
            self.bias = torch.cat(biases)[None] if packed else torch.stack(biases)
        self.seen = 0
        self.ends = np.cumsum([len(row.states) for row in group]).tolist()
        self.begins = [0, *self.ends[:-1]]

    def __call__(self, call: AttentionCall) -> torch.Tensor | None:
        """Add the call to its rows; if tokens were merged, return the output with the bias."""
        output, given = None, call.mask
        blocks = given if self.packed else None  # hides the rows of one call from each other
        if given is not None and not self.packed:
            call.counted = seen_keys(given, len(call.query))
        if self.bias is not None:
            # [b, keys] -> [b, 1, 1, keys]: added to the logits of every head and query.
            # Packed rows attend one after the other: `seen` counts the keys of earlier calls.
            bias = self.bias[:, None, None, self.seen :][..., : call.key.shape[2]]
            bias = bias.to(call.query.dtype)
            call.mask = bias if given is None else added(given, bias)
            output, _ = sdpa_attention_forward(
                call.module, call.query, call.key, call.value, call.mask,
                scaling=call.scaling, is_causal=False,
            )  # fmt: skip
        if blocks is not None:
            for row, begin, end in zip(self.group, self.begins, self.ends, strict=True):
                row.calls.append(call.within(slice(begin, end)))
                if self.bias is not None:
                    row.calls[-1].mask = bias[..., begin:end]
        elif self.packed:
            # `ends` are the ends of the rows in the sequence; a window lies within one row
            owner = int(np.searchsorted(self.ends, self.seen, side="right"))
            self.group[owner].calls.append(call)
            self.seen += call.key.shape[2]
        else:
            for number, row in enumerate(self.group):
                row.calls.append(call.of(number))
        return output


def added(mask: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return a mask, bool or additive, with a bias of the keys that it lets through."""
    if mask.dtype == torch.bool:
        return bias.expand(mask.shape).masked_fill(~mask, float("-inf"))
    return mask + bias
