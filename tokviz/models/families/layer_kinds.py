"""Decoder layers without attention: what they have instead, and what follows from it.

Hybrid decoders (Qwen3.5, LFM2) mix the tokens of most layers by linear attention or by a short
convolution. Such a layer has no softmax map and no keys; its cache is a state of fixed size that
sums up all tokens read so far. So a token that is removed before the layer never reaches its state,
and one that has been read cannot be taken out again or hidden from the tokens that follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache
from transformers.cache_utils import (
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionLayer,
)

MIXERS = {"linear_attention": "linear_attn", "conv": "conv"}
"""Type of a layer, as configs name it -> the module that mixes its tokens."""
WORDS = {"linear_attention": "linear attention", "conv": "a short convolution"}
"""Type of a layer -> what it has instead of attention."""


def layers_without_attention(decoder: nn.Module) -> dict[int, str]:
    """Return layer -> what it has instead of attention, a value of WORDS; {} in most decoders."""
    kinds = getattr(decoder.config, "layer_types", None) or ()
    layers: Any = decoder.layers
    return {
        number: WORDS[kind]
        for number, (kind, block) in enumerate(zip(kinds, layers, strict=False))
        if kind in MIXERS and hasattr(block, MIXERS[kind])
    }


def attending_layers(decoder: nn.Module) -> list[int]:
    """Return the numbers of the layers with attention, ascending."""
    without = layers_without_attention(decoder)
    return [i for i in range(len(decoder.layers)) if i not in without]  # type: ignore[arg-type]


def by_kind(without: Mapping[int, str]) -> dict[str, list[int]]:
    """Return what layers have instead of attention -> those layers, ascending."""
    found: dict[str, list[int]] = {}
    for layer, kind in sorted(without.items()):
        found.setdefault(kind, []).append(layer)
    return found


def listed(layers: Iterable[int]) -> str:
    """Return "layer 3" or "layers 0-2, 4"."""
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    several = len(parts) > 1 or any("-" in part for part in parts)
    return f"layer{'s' * several} {', '.join(parts)}"


def named_layers(without: Mapping[int, str]) -> str:
    """Return "layers 0-2, 4 are linear attention", one clause per kind."""
    return "; ".join(
        f"{listed(layers)} {'is' if len(layers) == 1 else 'are'} {kind}"
        for kind, layers in by_kind(without).items()
    )


def whole_cache(decoder: nn.Module) -> DynamicCache:
    """Return an empty cache that keeps every key, also those outside a sliding window.

    Layers without attention keep their state.
    """
    if not layers_without_attention(decoder):
        return DynamicCache()
    cache: Any = DynamicCache(config=decoder.config)  # type: ignore[arg-type]
    for number, layer in enumerate(cache.layers):
        if isinstance(layer, DynamicSlidingWindowLayer):
            cache.layers[number] = DynamicLayer()
        elif isinstance(layer, LinearAttentionLayer):
            cache.layers[number] = StatesOfTheirOwn(layer.number_of_states)
    return cache


class StatesOfTheirOwn(LinearAttentionLayer):
    """Every new state is a tensor of its own, so that a gradient can pass through the one before.

    The library writes a new state into the memory of the old one, which autograd refuses.
    """

    def update_recurrent_state(
        self, recurrent_states: torch.Tensor, state_idx: int = 0, **kwargs: Any
    ) -> torch.Tensor:
        """Take the new state [b, h, d_k, d_v]."""
        self.is_recurrent_states_initialized[state_idx] = True
        self.recurrent_states[state_idx] = recurrent_states
        return recurrent_states


def cached_tensors(layer: Any) -> list[torch.Tensor]:
    """Return what one layer of a cache holds: keys and values, or its states."""
    held = [getattr(layer, "keys", None), getattr(layer, "values", None)]
    for name in ("conv_states", "recurrent_states"):
        held += getattr(layer, name, {}).values()
    return [one for one in held if one is not None]


def cache_bytes(cache: DynamicCache) -> tuple[int, list[int]]:
    """Return the bytes of what a cache holds, and the rows of each layer.

    A layer without attention has no rows; the bytes of its state count.
    """
    total, rows = 0, []
    for layer in cache.layers:
        total += sum([one.nbytes for one in cached_tensors(layer)])
        keys = getattr(layer, "keys", None)
        rows.append(0 if keys is None else keys.shape[-2])
    return total, rows
