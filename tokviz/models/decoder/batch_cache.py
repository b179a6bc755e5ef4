"""The KV caches of several lanes joined into one, for decode steps in one forward.

In every layer the keys of all lanes follow each other without padding: lanes differ in length, and
after stages inside the language model the layers of one lane differ too. A column is one key of one
lane. A mask over the columns says what a lane may attend to: its own keys, except those that a
method hides or that are outside a sliding window. While lanes are joined, no window trims the
cache; a lane that leaves gets its own cache back, as short as it would be alone.

No tokens are removed here: `remove_tokens` shortens caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin, DynamicLayer, DynamicSlidingWindowLayer

from tokviz.models.decoder.growing_cache import GrowingLayer, give_away
from tokviz.models.decoder.growing_tensor import GrowingTensor


@dataclass
class CachedKeys:
    """The keys in one layer's cache of one lane, with what masks need to know of them."""

    places: np.ndarray
    "int [keys], place of each key, ascending: the numbers by which a sliding window counts."
    seen: np.ndarray
    "bool [keys], False = hidden from every later token."
    next: int
    "Place of the next token."

    @property
    def key(self) -> tuple[bytes, bytes, int]:
        """Equal for layers with equal keys, which can use one mask."""
        return self.places.tobytes(), self.seen.tobytes(), self.next


class BatchLayer(CacheLayerMixin):
    """One layer's keys and values of all lanes, [1, h, columns, d]."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, parts: Sequence[DynamicLayer]) -> None:
        """Move the tensors of the lanes' own layers here, which leaves those empty."""
        super().__init__()
        # no lane may keep its tensors: memory would hold every cache twice
        keys, values = zip(*(give_away(part) for part in parts), strict=True)
        self.keys, self.values = torch.cat(keys, -2), torch.cat(values, -2)
        self.more_keys, self.more_values = GrowingTensor(), GrowingTensor()
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the columns of a step, [1, h, read, d]; return all columns."""
        self.keys = self.more_keys.append(self.keys, key_states)
        self.values = self.more_values.append(self.values, value_states)
        return self.keys, self.values

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Do nothing: the tensors exist from the start."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return sizes for which the library builds no mask: it knows nothing of lanes."""
        return query_length, 0

    def get_seq_length(self) -> int:
        """Return the number of columns; positions do not depend on it, the model gets them."""
        return self.keys.shape[-2]

    def get_max_length(self) -> int:
        """Return -1: there is no limit."""
        return -1

    def of(self, columns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values of some columns."""
        columns = columns.to(self.keys.device)
        # [1, h, all columns, d] -> [1, h, columns, d]
        return self.keys[..., columns, :], self.values[..., columns, :]


NOBODY = -1
"""Lane of a column that no token attends to: its token was not written, or its lane left."""
MOST_UNUSED = 256
"""Number of columns of nobody that are kept, since removing them copies all others."""


class Columns:
    """The lane of each column, for all layers in which the lanes' caches hold the same rows."""

    def __init__(
        self, cached: Sequence[CachedKeys], window: int | None, device: torch.device
    ) -> None:
        """Args: the keys of each lane; the layers' window in tokens; the device of the masks."""
        lengths = [len(one.places) for one in cached]
        self.lane = np.repeat(np.arange(len(cached)), lengths)
        self.places = np.concatenate([one.places for one in cached])
        self.seen = np.concatenate([one.seen for one in cached])
        self.next = np.array([one.next for one in cached])
        self.counts = np.array(lengths)
        "[lanes], columns of each lane."
        self.window, self.device = window, device
        self.sees = torch.empty(0)
        "bool [read, columns], True = a token that is being read may attend."
        self.hidden = torch.empty(0)
        "bool [read, columns], the opposite."

    def grow(self, slots: np.ndarray, after: np.ndarray) -> None:
        """Add one column for each token that a step reads, and compute the mask of the step.

        Args:
            slots: [read], the lane of each token.
            after: [read], how many tokens of its lane the step reads before it.
        """
        places = self.next[slots] + after
        self.lane = np.concatenate([self.lane, slots])
        self.places = np.concatenate([self.places, places])
        self.seen = np.concatenate([self.seen, np.ones(len(slots), bool)])
        # [columns] against [read, 1] -> [read, columns]: own columns that are not hidden, up to
        # the token's own
        mask = (self.lane == slots[:, None]) & self.seen & (self.places <= places[:, None])
        if self.window is not None:
            # keys at or before (place of the token - window) are outside the window
            mask &= self.places > places[:, None] - self.window
        self.sees = torch.as_tensor(mask, device=self.device)
        self.hidden = ~self.sees

    def settle(self, slots: np.ndarray, kept: np.ndarray) -> None:
        """Keep the columns of the last step that were right to read; the others are nobody's.

        Args:
            slots: [read], as `grow` got them.
            kept: bool [read].
        """
        self.lane[len(self.lane) - len(slots) :][~kept] = NOBODY
        added = np.bincount(slots[kept], minlength=len(self.next))
        self.next += added
        self.counts += added

    def of(self, slot: int) -> torch.Tensor:
        """Return the columns of one lane, ascending."""
        return torch.as_tensor(np.flatnonzero(self.lane == slot), device=self.device)

    def give_up(self, slot: int) -> None:
        """Leave the columns of a lane to nobody; `compact` removes them."""
        self.lane[self.lane == slot] = NOBODY

    def compact(self) -> torch.Tensor:
        """Remove the columns of nobody; return the indices of the columns that stay."""
        left = self.lane != NOBODY
        self.lane, self.places, self.seen = self.lane[left], self.places[left], self.seen[left]
        return torch.as_tensor(np.flatnonzero(left), device=self.device)


class BatchCache(Cache):
    """The joined caches; a lane's number, its slot, does not change when others leave."""

    def __init__(
        self,
        caches: Sequence[DynamicCache],
        cached: Sequence[Sequence[CachedKeys]],
        windows: dict[int, int],
        device: torch.device,
    ) -> None:
        """Join caches; the lanes' own caches are empty until `give_back`.

        Args:
            caches: one per lane.
            cached: per lane, the keys of each layer that has its own, the first ones.
            windows: decoder layer -> its window in tokens, of the layers that have one.
            device: the device of the masks.
        """
        self.caches = list(caches)
        self.added = np.zeros(len(caches), int)
        "[lanes], keys of each lane that were added since."
        # layers in which every lane has the same keys share one mask, computed once per step
        known: dict[Any, Columns] = {}
        self.columns: list[Columns] = []
        "Per layer; layers in which every lane has the same keys share one object."
        for layer, parts in enumerate(zip(*cached, strict=True)):
            window = windows.get(layer)
            key = (window, *(part.key for part in parts))
            if key not in known:
                known[key] = Columns(parts, window, device)
            self.columns.append(known[key])
        own = (cache.layers[: len(self.columns)] for cache in caches)
        layers = zip(*own, strict=True)
        self.joined = [BatchLayer(parts) for parts in layers]  # type: ignore[arg-type]
        super().__init__(layers=list(self.joined))
        self.row_bytes = [
            (s.keys.nbytes + s.values.nbytes) // s.keys.shape[-2] for s in self.joined
        ]
        "Per layer, bytes of one column."

    @property
    def groups(self) -> list[Columns]:
        """Each different set of columns once, in the order of the layers."""
        return list({id(one): one for one in self.columns}.values())

    def grow(self, slots: np.ndarray, after: np.ndarray) -> None:
        """Add one column per token that a step reads to every mask; see `Columns.grow`."""
        unused = max(int((group.lane == NOBODY).sum()) for group in self.groups)
        if unused > MOST_UNUSED:
            self.compact()
        for group in self.groups:
            group.grow(slots, after)

    def settle(self, slots: np.ndarray, kept: np.ndarray) -> None:
        """Keep some columns of the step that was made; see `Columns.settle`."""
        for group in self.groups:
            group.settle(slots, kept)
        self.added += np.bincount(slots[kept], minlength=len(self.added))

    def get_query_offset(self, layer_idx: int = 0) -> int:
        """Return 0: see `BatchLayer.get_mask_sizes`."""
        return 0

    def lengths(self, slot: int) -> list[int]:
        """Return the number of keys that each layer of a lane's own cache would hold."""
        found = [(int(columns.counts[slot]), columns.window) for columns in self.columns]
        return [count if limit is None else min(count, limit - 1) for count, limit in found]

    def bytes(self, slot: int) -> int:
        """Return the number of bytes that a lane's own cache would hold."""
        return sum(n * size for n, size in zip(self.lengths(slot), self.row_bytes, strict=True))

    def give_back(self, slot: int) -> None:
        """Remove a lane from the joined cache and write its keys to its own cache."""
        held = self.caches[slot].layers[: len(self.columns)]
        for own, layer, columns in zip(held, self.joined, self.columns, strict=True):
            mine = columns.of(slot)
            if isinstance(own, DynamicSlidingWindowLayer):
                own.cumulative_length += int(self.added[slot])
                # the library keeps window - 1 keys, since the next token is part of the window
                mine = mine[-own.sliding_window + 1 :]
            own.keys, own.values = layer.of(mine)
        self.give_up(slot)

    def give_up(self, slot: int) -> None:
        """Remove a lane that needs its keys no more."""
        for group in self.groups:
            group.give_up(slot)

    def compact(self) -> None:
        """Remove the columns of nobody, which copies the others."""
        left = {id(group): group.compact() for group in self.groups}
        for layer, columns in zip(self.joined, self.columns, strict=True):
            layer.keys, layer.values = layer.of(left[id(columns)])


def can_share(cache: DynamicCache, own: int) -> bool:
    """Return whether the first `own` layers of a cache are of kinds that `BatchCache` can join."""
    known = (GrowingLayer, DynamicLayer, DynamicSlidingWindowLayer)
    return all(type(layer) in known for layer in cache.layers[:own])
