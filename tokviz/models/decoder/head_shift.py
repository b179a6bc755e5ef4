"""Adds a vector to the outputs of single heads, at the last row of every forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from tokviz.errors import ModelError
from tokviz.models.families.parts import attention_of, named

OUTPUTS = ("o_proj", "out_proj", "dense")
"""Names of the projection that joins the heads of an attention module."""


def joining(block: nn.Module) -> nn.Module:
    """Return the projection that joins the heads of a decoder layer.

    Raises:
        ModelError: it is under none of the known names.
    """
    found = named(attention_of(block), OUTPUTS)
    if not isinstance(found, nn.Module):
        raise ModelError(
            "this model's attention joins its heads under another name than "
            f"{', '.join(OUTPUTS)}, so outputs of single heads cannot be changed."
        )
    return found


class ShiftedHeads:
    """Vectors for the heads of each layer, bound to one lane."""

    def __init__(self, decoder: nn.Module, vectors: Mapping[int, torch.Tensor]) -> None:
        """Args: the text decoder; layer with attention -> [h, d], zeros for heads that stay."""
        self.decoder, self.vectors = decoder, vectors
        chosen = {layer: int(each.any(-1).sum()) for layer, each in self.vectors.items()}
        self.chosen = {layer: count for layer, count in chosen.items() if count}
        "Layer -> heads that are shifted."

    def hooks(self) -> list[Any]:
        """Install the hooks of one forward; the caller removes the handles."""
        blocks: Any = self.decoder.layers
        return [
            joining(blocks[layer]).register_forward_pre_hook(self._adding(layer))
            for layer in self.chosen
        ]

    def effect(self, title: str) -> str:
        """Say how many heads were shifted."""
        if not self.chosen:
            return (
                f"{title} found no head that looks more at the picture for a caption: what follows "
                "is the plain answer."
            )
        heads = sum(len(each) for each in self.vectors.values())
        layers = ", ".join(map(str, self.chosen))
        return f"{title} shifted {sum(self.chosen.values())} of {heads} heads, in layers {layers}."

    def _adding(self, layer: int) -> Callable[..., tuple[torch.Tensor, ...]]:
        def add(module: nn.Module, args: Any) -> tuple[torch.Tensor, ...]:
            joined = args[0].clone()  # [1, rows, h d]
            joined[:, -1] += self.vectors[layer].reshape(-1).to(joined)
            return (joined, *args[1:])

        return add
