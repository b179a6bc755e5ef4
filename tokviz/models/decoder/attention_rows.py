"""Which attention rows of an answer are recorded: what a trace can store, not whole maps.

The recorded rows are those that chose an answer token. A row of every layer and head would take 13
MB per token for Qwen2.5-VL-7B with 4,096 visual tokens. Therefore only the mean over heads and the
mass on each block of the prompt are kept; single heads are kept while they are few enough.

A step only keeps the queries of its last row. The keys stay in the cache, so the rows of many steps
are computed in one product later (`close_waiting`), which reads the keys once instead of once per
step. Where the cache loses keys, or more than keys makes a row (a mask, an edit), the row is
computed in its step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import DynamicCache

from tokviz.models.attention_call import AttentionCall
from tokviz.models.decoder.growing_cache import GrowingLayer
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.trace.schema import BLOCKS

ANSWER = BLOCKS.index("answer")
MOST_BYTES = {"cpu": 2_000_000, "cuda": 64_000_000}
"""Size of the rows, float32, that are in memory at once while steps are reduced: on a CPU what its
cache holds, elsewhere what keeps the device busy."""


@dataclass
class Waiting:
    """The steps of one layer whose rows have not been computed yet."""

    scaling: float
    queries: list[torch.Tensor] = field(default_factory=list)
    "Per step, [1, h, 1, d]."
    keys: list[int] = field(default_factory=list)
    "Per step, how many keys of the cache it sees."

    @property
    def entries(self) -> int:
        """How many numbers the rows of all heads and steps have, as many keys as the last sees."""
        return self.queries[0].shape[1] * len(self.keys) * self.keys[-1]


class AttentionRows:
    """The recorded parts of the softmax rows that chose each token, on the model's device."""

    def __init__(
        self, stages: DecoderStages, blocks: torch.Tensor, most: int, cache: DynamicCache
    ) -> None:
        """Begin with nothing.

        Args:
            stages: says which rows are alive in each layer.
            blocks: int [rows], index in BLOCKS of each row that enters layer 0.
            most: largest number of answer tokens for which single heads are kept; a longer answer
                has none at all.
            cache: the lane's.
        """
        self.stages, self.most, self.cache = stages, most, cache
        self.member = F.one_hot(blocks, len(BLOCKS)).float()
        self.steps = 0
        self.means: dict[int, list[torch.Tensor]] = defaultdict(list)
        "Decoder layer -> the mean rows over heads, [r, rows alive] for some steps each."
        self.mass: dict[int, list[torch.Tensor]] = defaultdict(list)
        "Decoder layer -> the sums over each block, [h, r, b]."
        self.heads: dict[int, list[torch.Tensor]] = defaultdict(list)
        "Decoder layer -> the rows on the prompt, float16 [h, r, rows alive]; maybe none."
        self.waiting: dict[int, Waiting] = {}
        self.seen: dict[int, torch.Tensor] = {}

    def read_call(self, layer: int, call: AttentionCall) -> None:
        """Keep what a layer's last row is made of, or the row itself."""
        query = call.last_query() if self.keeps_keys(layer) else None
        if query is None:
            self.close_layers([layer], [call.key])
            self.seen[layer] = call.last_row()
            return
        waiting = self.waiting.get(layer)
        if waiting is None:
            waiting = self.waiting[layer] = Waiting(call.scaling)
        # of a prompt, a copy of the last row: a view would keep all of its queries
        waiting.queries.append(query if call.query.shape[2] == 1 else query.clone())
        waiting.keys.append(call.key.shape[2])

    def read_step(self, module: nn.Module, query: torch.Tensor, key: torch.Tensor) -> bool:
        """Keep the query of a decode step without mask, cap or sinks; a `PlainCall`.

        Args:
            module: a layer's attention.
            query: [1, h, 1, d].
            key: [1, h_kv, keys, d].

        Returns:
            False if no step of this layer waits: `read_call` then decides what is kept.
        """
        # attention outside the decoder has no number
        waiting = self.waiting.get(getattr(module, "layer_idx", -1))
        if waiting is None:
            return False
        waiting.queries.append(query)
        waiting.keys.append(key.shape[2])
        return True

    def keeps_keys(self, layer: int) -> bool:
        """Return whether a layer's cache holds every key until the answer ends."""
        own = self.stages.owners.get(layer, layer)
        return self.stages.eviction is None and type(self.cache.layers[own]) is GrowingLayer

    def close_step(self, written: int) -> None:
        """Reduce the rows that a step computed itself, many layers at once.

        Args:
            written: answer tokens among the keys.
        """
        groups: dict[object, list[int]] = defaultdict(list)
        for layer, row in self.seen.items():
            alike = (id(self.stages.rows_in.get(layer)), row.shape, row.device, self.is_cut(layer))
            groups[alike].append(layer)
        for layers in groups.values():
            # [l, h, 1, keys]
            rows = torch.stack([self.seen[layer] for layer in layers])[..., None, :]
            self._take(layers, rows, written)
        self.seen = {}
        self.end_step()

    def close_waiting(self) -> None:
        """Compute the rows of all steps that wait for it, while the cache holds their keys."""
        keys: dict[int, torch.Tensor] = {}
        groups: dict[object, list[int]] = defaultdict(list)
        for layer, waiting in self.waiting.items():
            own = self.stages.owners.get(layer, layer)
            keys[layer] = held = self.cache.layers[own].keys  # type: ignore[union-attr, assignment]
            shapes = (waiting.queries[0].shape, held.shape, held.device, tuple(waiting.keys))
            alike = (id(self.stages.rows_in.get(layer)), waiting.scaling, *shapes)
            groups[alike].append(layer)
        for layers in groups.values():
            at_once = max(most_entries(keys[layers[0]]) // self.waiting[layers[0]].entries, 1)
            for start in range(0, len(layers), at_once):
                part = layers[start : start + at_once]
                self.close_layers(part, [keys[layer] for layer in part])

    def close_layers(self, layers: Sequence[int], keys: Sequence[torch.Tensor]) -> None:
        """Compute the rows of the steps that wait for it in layers that are alike.

        Args:
            layers: decoder layers that have the same rows, shapes and steps; one that has no step
                waiting stands alone.
            keys: per layer [1, h_kv, keys, d], of which each step sees the first ones.
        """
        waiting = [self.waiting.pop(layer) for layer in layers if layer in self.waiting]
        if not waiting:
            return
        first, alive = waiting[0], len(self.stages.rows_at(layers[0]))
        per_step = first.entries // len(first.keys) * len(layers)
        count = max(most_entries(keys[0]) // per_step, 1)
        for start in range(0, len(first.keys), count):
            part = slice(start, start + count)
            sees = first.keys[part]
            rows = rows_of(
                [one.queries[part] for one in waiting],
                [one[0, :, : sees[-1]] for one in keys],
                sees,
                first.scaling,
            )
            self._take(layers, rows, sees[0] - alive)

    def take(self, layers: list[int], rows: torch.Tensor, written: int) -> None:
        """Record the rows of one step in layers whose caches hold the same keys.

        Args:
            layers: decoder layers.
            rows: float32 [l, h, r, keys], softmax over prompt and answer, one row per token that
                was read; each sees one key more than the row before.
            written: tokens of the answer among the keys of the first row.
        """
        parts = self.stages.alike(layers)
        for part in parts:  # with sliding windows, equal caches may come from different rows
            own = rows if len(parts) == 1 else rows[[layers.index(layer) for layer in part]]
            if self.is_cut(part[0]):
                last = own.shape[-2] - 1
                for i in range(last + 1):
                    keys = own.shape[-1] - last + i
                    self._take(part, own[..., i : i + 1, :keys], written + i)
            else:
                self._take(part, own, written)

    def _take(self, layers: Sequence[int], rows: torch.Tensor, written: int) -> None:
        """Reduce [l, h, r, keys] of layers in which the same rows of the prompt are alive."""
        if self.is_cut(layers[0]):
            row = self.stages.eviction.whole_prompt(layers, rows[..., 0, :], written)  # type: ignore[union-attr]
            rows = row[..., None, :]
        alive = self.stages.rows_at(layers[0])
        # a cache with a sliding window has dropped the oldest keys: their attention is 0
        dropped = len(alive) + written + rows.shape[-2] - 1 - rows.shape[-1]
        rows = F.pad(rows, (dropped, 0)) if dropped > 0 else rows
        prompt = rows[..., : len(alive)]  # [l, h, r, rows alive]
        mass = F.linear(rows, self._member(alive, rows))  # -> [l, h, r, b]
        parts = [(self.means, prompt.mean(1)), (self.mass, mass)]
        if self.taken(layers[0]) + rows.shape[-2] <= self.most + 1:
            parts.append((self.heads, prompt.to(torch.float16)))  # as a trace stores them
        else:  # too many to be stored; the step that ends an answer writes no token
            self.heads.clear()
        for kept, values in parts:
            for layer, value in zip(layers, values.unbind(0), strict=True):
                kept[layer].append(value)

    def _member(self, alive: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return which block each key belongs to, one-hot [b, keys].

        Args:
            alive: rows of the prompt among the keys.
            rows: float [..., keys], softmax over prompt and answer.
        """
        member = self.member if len(alive) == len(self.member) else self.member[alive]
        answer = member.new_zeros(rows.shape[-1] - len(alive), len(BLOCKS))
        answer[:, ANSWER] = 1
        return torch.cat([member, answer]).T.to(rows.device).contiguous()

    def taken(self, layer: int) -> int:
        """Return the number of rows recorded of a layer."""
        return sum(one.shape[0] for one in self.means[layer])

    def is_cut(self, layer: int) -> bool:
        """Return whether tokens have left the cache of a layer."""
        return self.stages.eviction is not None and layer in self.stages.eviction.held

    def end_step(self, tokens: int = 1) -> None:
        """Count the tokens of a step."""
        self.steps += tokens


def most_entries(near: torch.Tensor) -> int:
    """Return how many float32 numbers of rows may be in memory at once on a tensor's device."""
    return MOST_BYTES.get(near.device.type, MOST_BYTES["cuda"]) // 4


def rows_of(
    queries: Sequence[Sequence[torch.Tensor]],
    keys: Sequence[torch.Tensor],
    sees: Sequence[int],
    scaling: float,
) -> torch.Tensor:
    """Return the softmax rows of several steps over the keys of layers, float32 [l, h, r, keys].

    Args:
        queries: per layer r times [1, h, 1, d].
        keys: per layer [h_kv, keys, d].
        sees: per query, how many keys it sees, the first ones, ascending.
        scaling: of the products.
    """
    _, heads, _, width = queries[0][0].shape
    (kv_heads, count, _), steps = keys[0].shape, len(sees)
    every = torch.cat([one for of_layer in queries for one in of_layer], 2)[0]
    # [h, l * r, d] -> [l, h_kv, h/h_kv * r, d]: query heads of one key head are neighbours
    query = every.view(heads, len(keys), steps, width).transpose(0, 1)
    query = query.reshape(len(keys), kv_heads, -1, width)
    products = query.new_empty(*query.shape[:-1], count)
    for place, one, of_layer in zip(products, query, keys, strict=True):
        torch.matmul(one, of_layer.transpose(-1, -2), out=place)
    products = products.float().mul_(scaling).view(len(keys), heads, steps, count)
    if steps > 1:  # every query sees the keys that the first one sees
        last = torch.arange(sees[0], count, device=query.device)
        limit = torch.tensor(sees, device=query.device)[:, None]
        # [keys] against [r, 1] -> [r, keys]
        products[..., sees[0] :].masked_fill_(last >= limit, -torch.inf)
    return products.softmax(-1)


def stacked(
    kept: Mapping[int, Sequence[torch.Tensor]],
    layers: Sequence[int],
    t: int,
    columns: Any = slice(None),
    dtype: torch.dtype = torch.float16,
) -> torch.Tensor:
    """Return the values of some layers for the first t tokens, [t, l, ..., columns].

    Args:
        kept: decoder layer -> values [..., r, x] of some tokens each.
        layers: decoder layers.
        t: number of tokens.
        columns: index of the last axis.
        dtype: of the result, which is on the device of the first values.
    """
    first = kept[layers[0]][0][..., columns]
    # one copy of what may be megabytes, converted on the way
    found = first.new_empty((t, len(layers), *first.shape[:-2], first.shape[-1]), dtype=dtype)
    for i, layer in enumerate(layers):
        at = 0
        for part in kept[layer]:
            values = part.movedim(-2, 0)[: t - at, ..., columns]
            found[at : at + len(values), i] = values
            at += len(values)
    return found
