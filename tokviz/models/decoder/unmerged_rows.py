"""Virtual unmerging (DyMU): attention reads a merged token at the place of each of its members.

The model gets the prompt with a row for every member. Before layer 0 these rows become one row per
token; around each attention module the rows are copied out to all members, and its output becomes
the mean over the members. So positions, masks, sliding windows and the cache are those of the
prompt with nothing merged, and everything else works on the merged tokens. The official code copies
queries, keys and values instead, after their projections: the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tokviz.models.attention_call import AttentionCall
from tokviz.models.families.parts import attention_of
from tokviz.models.hooks import hooked

Kwargs = dict[str, Any]


class UnmergedRows:
    """Which row of the merged sequence stands at each place of the unmerged one."""

    def __init__(self, row_at: torch.Tensor) -> None:
        """Args: row_at int64 [N], the row of each place; every row has a place."""
        self.row_at = row_at
        self.count = torch.bincount(row_at)
        "[rows], places of each row."
        places = torch.arange(len(row_at), device=row_at.device)
        first = torch.full_like(self.count, len(row_at))
        self.first = first.scatter_reduce(0, row_at, places, "amin")
        "[rows], first place of each row."

    @property
    def places(self) -> int:
        """Number of places, which is the number of keys in the cache."""
        return len(self.row_at)

    def merged(self, values: torch.Tensor, axis: int, total: bool = False) -> torch.Tensor:
        """Return the mean over the places of each row along an axis, or their sum."""
        shape = list(values.shape)
        shape[axis] = len(self.count)
        sums = values.new_zeros(shape, dtype=torch.float32)
        sums.index_add_(axis, self.row_at, values.float())
        if total:
            return sums
        count = self.count.view([-1 if i == axis else 1 for i in range(values.ndim)])
        return (sums / count).to(values.dtype)

    @contextmanager
    def during_prefill(self, decoder: nn.Module) -> Iterator[None]:
        """Install the hooks for one prefill, whose model gets a row for every place."""
        layers: Any = decoder.layers
        handles = [layers[0].register_forward_pre_hook(self._enter, with_kwargs=True)]
        for block in layers:
            attention = attention_of(block)
            handles.append(attention.register_forward_pre_hook(self._copy_out, with_kwargs=True))
            handles.append(attention.register_forward_hook(self._take_mean))
        with hooked(handles):
            yield

    def _enter(self, module: nn.Module, args: tuple, kwargs: Kwargs) -> tuple[tuple, Kwargs]:
        return _with_states(args, kwargs, self.first)

    def _copy_out(self, module: nn.Module, args: tuple, kwargs: Kwargs) -> tuple[tuple, Kwargs]:
        return _with_states(args, kwargs, self.row_at)

    def _take_mean(self, module: nn.Module, args: tuple, output: Any) -> Any:
        # [1, N, d] -> [1, rows, d]; attention modules return (output, weights)
        return (self.merged(output[0], 1), *output[1:])


def _with_states(args: tuple, kwargs: Kwargs, index: torch.Tensor) -> tuple[tuple, Kwargs]:
    """Return a module's arguments with other rows of its hidden states [1, rows, d]."""
    if args:
        return (args[0][:, index], *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": kwargs["hidden_states"][:, index]}


class MergedCall(AttentionCall):
    """An attention call over all places, whose softmax rows are given for the merged tokens.

    A row is the mean over the places of its query, and a key's weight the sum over its places.
    Tokens written after the prompt have one place each.
    """

    def __init__(self, call: AttentionCall, unmerged: UnmergedRows, written: int) -> None:
        """Describe the call.

        Args:
            call: the call of the module.
            unmerged: the places of the prompt's rows.
            written: tokens of the answer among the keys.
        """
        super().__init__(
            call.module, call.query, call.key, call.value, call.mask, call.scaling, call.causal,
            call.softcap, call.sinks,
        )  # fmt: skip
        self.unmerged, self.written = unmerged, written

    def rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the softmax of the given merged rows, float32 [b, h, rows, keys]."""
        if self.query.shape[2] != self.unmerged.places:  # a decode step: one place per row
            return self._by_key(super().rows(rows))
        found = []
        for row in rows:
            places = (self.unmerged.row_at == row).nonzero()[:, 0]
            # [b, h, places, N] -> [b, h, 1, rows]
            found.append(self._by_key(super().rows(places).mean(2, keepdim=True)))
        return torch.cat(found, 2)

    def last_row(self) -> torch.Tensor:
        """Return the softmax of the last query row, float32 [h, keys]."""
        return self._by_key(super().last_row())

    def last_query(self) -> None:
        """Return None: sums over places are taken after the softmax."""

    def _by_key(self, weights: torch.Tensor) -> torch.Tensor:
        """Sum the weights [..., keys] over the places of each row, [..., rows + written]."""
        # a cache with a sliding window has dropped the oldest keys: their attention is 0
        dropped = self.unmerged.places + self.written - weights.shape[-1]
        weights = F.pad(weights, (dropped, 0))
        prompt, written = weights.tensor_split([self.unmerged.places], -1)
        merged = self.unmerged.merged(prompt, prompt.ndim - 1, total=True)
        return torch.cat([merged, written.to(merged.dtype)], -1)
