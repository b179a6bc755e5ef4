"""What enters and leaves a decoder layer where it keeps several versions of each state (AltUp).

Most decoders have one state of each token, [b, rows, d]. Gemma 3n stacks v = 4 versions of it,
[v, b, rows, d] (Baykal et al., NeurIPS 2023). Attention and MLP of a layer work on one of them, the
active one; the others are predicted from all and corrected by what became of it. Behind the last
layer the versions are projected, scaled to the size of the first, and averaged: this the final
norm sees.

Here are therefore two states of a token. What enters a layer is read as the active version: it is
what the layer works on, and before layer 0 it is the token's embedding. What leaves a layer is read
as the average, made with the model's own projections: so a lens reads after the last layer the
words that the model gives. A token is removed, merged or brought back in all versions at once.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

Kwargs = dict[str, Any]
SMALLEST = 1e-5
"The smallest mean square of a projected version, as in transformers."


def has_versions(decoder: nn.Module) -> bool:
    """Return whether a decoder keeps several versions of each state."""
    return bool(getattr(decoder.config, "altup_num_inputs", 0))


def given_states(args: tuple, kwargs: Kwargs) -> torch.Tensor:
    """Return the hidden states among a module's arguments, all versions of them."""
    return args[0] if args else kwargs["hidden_states"]


def active(module: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """Return the version on which a decoder layer works, [v, b, rows, d] -> [b, rows, d].

    Args:
        module: the layer, or any module of it or around it that has the decoder's config.
        states: what enters the layer; of a decoder without versions it is returned as it is.
    """
    return states[module.config.altup_active_idx] if states.ndim == 4 else states  # type: ignore


def entering(module: nn.Module, args: tuple, kwargs: Kwargs) -> torch.Tensor:
    """Return the states [b, rows, d] that a layer works on, from the arguments of its call."""
    return active(module, given_states(args, kwargs))


def returned_states(output: Any) -> torch.Tensor:
    """Return the hidden states among what a module returns, all versions of them."""
    return output[0] if isinstance(output, tuple) else output


def leaving(decoder: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """Return what the final norm would see if a layer were the last one, [..., d].

    Args:
        decoder: the text decoder.
        states: what the layer returns, of any of its rows: [..., d], or all versions [v, ..., d].
    """
    if not has_versions(decoder):
        return states
    own: Any = decoder
    parts = [states[0]]
    size = states[0].square().mean(-1, keepdim=True) ** 0.5
    for project, version in zip(own.altup_unembed_projections, states[1:], strict=True):
        parts.append(_of_size(project.forward(version), size))
    return torch.stack(parts).mean(0)


def versions_of(decoder: nn.Module, embedded: torch.Tensor) -> torch.Tensor:
    """Return what enters layer 0 for embeddings [b, rows, d]: all versions, if there are any."""
    if not has_versions(decoder):
        return embedded
    own: Any = decoder
    size = embedded.square().mean(-1, keepdim=True) ** 0.5
    parts = [_of_size(project.forward(embedded), size) for project in own.altup_projections]
    return torch.stack([embedded, *parts])


def _of_size(states: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """Return states [..., d] scaled to a root mean square [..., 1]."""
    return states * size / states.square().mean(-1, keepdim=True).clamp(min=SMALLEST).sqrt()


def by_name(module: nn.Module, args: tuple, kwargs: Kwargs) -> tuple[torch.Tensor, Kwargs]:
    """Return the states of a layer's call, all versions, and its other arguments by their names.

    Most models name all of them; Gemma 3n gives the rotation and a layer's own input by place.
    """
    kwargs = dict(kwargs)
    states = args[0] if args else kwargs.pop("hidden_states")
    if len(args) > 1:
        names = list(inspect.signature(module.forward).parameters)
        kwargs |= dict(zip(names[1 : len(args)], args[1:], strict=True))
    return states, kwargs
