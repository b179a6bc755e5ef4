"""Decoder layers that read the keys and values of an earlier layer, and what follows from it.

In Gemma 3n and in Gemma 4 E2B and E4B the last layers have no keys of their own. Each reads those
of the last layer before them that has its type of attention, full or with a sliding window: here
called its owner. A token that is removed before the owners is in no later layer, and leaves one
cache per owner, not one per layer; after an owner no token can be removed any more.

No later layer needs what these layers make of a prompt. So Gemma 4 computes of a prompt the last
row only in them, which chooses the first word; Gemma 3n computes every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from tokviz.models.families.layer_kinds import attending_layers
from tokviz.models.families.state_versions import by_name

Kwargs = dict[str, Any]
ROTATION = "position_embeddings"
"""The argument of a decoder layer with the rotation of its rows."""


def owners(decoder: nn.Module) -> dict[int, int]:
    """Return decoder layer -> the earlier layer whose keys it reads; {} in most decoders."""
    config: Any = decoder.config
    modes = getattr(config, "kv_sharing_modes", None) or ()
    found: dict[int, int] = {}
    stored: dict[str, int] = {}
    for layer, mode in enumerate(modes):
        if mode == "store":
            stored[config.layer_types[layer]] = layer
        elif mode == "reuse":
            found[layer] = stored[config.layer_types[layer]]
    return found


def keyed_layers(decoder: nn.Module) -> int:
    """Return how many layers have keys of their own, the first ones: most often all."""
    return min(owners(decoder), default=len(decoder.layers))  # type: ignore[arg-type]


def last_row_layers(decoder: nn.Module) -> dict[int, int]:
    """Return the layers that compute the last row of a prompt only, as `owners` does."""
    # the number of the layer from which on Gemma 4's decoder leaves the other rows out
    return owners(decoder) if hasattr(decoder, "first_kv_shared_layer_idx") else {}


def whole_prompt_layers(decoder: nn.Module) -> int:
    """Return how many layers compute every row of a prompt, the first ones: most often all."""
    return min(last_row_layers(decoder), default=len(decoder.layers))  # type: ignore[arg-type]


def removing_layers(decoder: nn.Module) -> int:
    """Return before how many layers, the first ones, tokens can be removed: most often all."""
    shared = owners(decoder)
    return min(shared.values()) + 1 if shared else len(decoder.layers)  # type: ignore[arg-type]


def caching_layers(decoder: nn.Module) -> list[int]:
    """Return the numbers of the layers with attention to keys of their own, ascending."""
    shared = owners(decoder)
    return [layer for layer in attending_layers(decoder) if layer not in shared]


def following(decoder: nn.Module) -> Iterator[Any]:
    """Give layers that share keys the mask and the rotation of the layer whose keys they read.

    Yields:
        Handles of pre-hooks, one by one; the caller removes them. They are to be installed after
        those that change what the owners get.
    """
    layers: Any = decoder.layers
    shared = owners(decoder)
    given: dict[int, Kwargs] = {}

    def keep(owner: int) -> Any:
        def hook(module: nn.Module, args: tuple, kwargs: Kwargs) -> None:
            given[owner] = by_name(module, args, kwargs)[1]

        return hook

    def follow(owner: int) -> Any:
        def hook(module: nn.Module, args: tuple, kwargs: Kwargs) -> tuple[tuple, Kwargs]:
            states, kwargs = by_name(module, args, kwargs)
            rows = states.shape[-2]
            mask, turned = (given[owner][name] for name in ("attention_mask", ROTATION))
            # its rows are the owner's last ones: in Gemma 4's prompts one, else all of them
            mask = mask if mask is None else mask[..., -rows:, :]
            turned = tuple(part[..., -rows:, :] for part in turned)
            return (states,), {**kwargs, "attention_mask": mask, ROTATION: turned}

        return hook

    for owner in sorted(set(shared.values())):
        yield layers[owner].register_forward_pre_hook(keep(owner), with_kwargs=True)
    for layer, owner in shared.items():
        yield layers[layer].register_forward_pre_hook(follow(owner), with_kwargs=True)
