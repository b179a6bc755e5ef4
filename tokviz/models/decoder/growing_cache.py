"""A KV cache that appends a token without copying the keys that it holds.

transformers' `DynamicLayer` joins old and new keys into a new tensor at every token, which moves
the whole cache through memory once more. Here the tensors have room behind the last key, and a
token is written into it. The numbers are the same, and so is their order.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tokviz.models.decoder.growing_tensor import GrowingTensor


class GrowingLayer(DynamicLayer):
    """One layer's keys and values [b, h, keys, d], as in `DynamicLayer`."""

    def __init__(self, **kwargs: Any) -> None:
        """Begin empty."""
        super().__init__(**kwargs)
        self.more_keys, self.more_values = GrowingTensor(), GrowingTensor()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append [b, h, new, d]; return all keys and values."""
        held = getattr(self, "keys", None)
        if held is None or not held.numel():
            self.lazy_initialization(key_states, value_states)
            # [b, h, 0, d], which the first keys follow
            self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]
        self.keys = self.more_keys.append(self.keys, key_states)
        self.values = self.more_values.append(self.values, value_states)
        return self.keys, self.values


def growing_cache(config: Any) -> DynamicCache:
    """Return an empty cache for a decoder's config; its plain layers grow without copies."""
    cache = DynamicCache(config=config)
    for i, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[i] = GrowingLayer()
    return cache


def give_away(layer: DynamicLayer) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a layer's keys and values; it holds none then, nor their memory."""
    keys, values = layer.keys, layer.values
    # a slice without keys would keep the memory of all of them
    layer.keys, layer.values = (
        one.new_empty((*one.shape[:-2], 0, one.shape[-1])) for one in (keys, values)
    )
    if isinstance(layer, GrowingLayer):
        layer.more_keys, layer.more_values = GrowingTensor(), GrowingTensor()
    return keys, values
