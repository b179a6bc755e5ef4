"""The part of `Family` that runs a vision tower block by block, for reducing inside it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from tokviz.errors import InputError
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout


class TowerBlocks:
    """What a family says of its tower's blocks; without their two halves no method acts there."""

    title: str

    @abstractmethod
    def feature_layer(self, model: nn.Module) -> int:
        """Return the tower layer (from 0) whose output becomes the features."""

    def tower_refusal(self, model: nn.Module, layout: Layout, sources: Sources) -> str | None:
        """Return why no method can act inside the tower on this prompt; None if one can."""
        why = None
        if type(self).tower_attend is TowerBlocks.tower_attend:
            why = f"{self.title} has no reduction inside the vision tower yet"
        elif sources.weight is not None and len(self.tower_joins(model)) > 1:
            why = (
                f"{self.title} scales the tokens of such a large image down after the vision "
                "tower, and this checkpoint joins the outputs of several tower layers into a "
                "token: tokviz cannot reduce inside the tower with both yet. A smaller image is "
                "not scaled down"
            )
        return why and f"{why}. Choose a method that acts before or inside the language model."

    def tower_follow(
        self, model: nn.Module, inputs: Mapping[str, Any], given: Mapping[str, Any]
    ) -> dict[str, torch.Tensor]:
        """Return the blocks' further inputs per patch, [all patches, ...] each.

        They are reduced with the patches. Where the images are rows of a batch: [rows, patches,
        ...]; a tower whose mask hides padding is reduced only if this has what says which is.

        Args:
            model: the model.
            inputs: the processor's output.
            given: keyword arguments of the library's call of the first block.
        """
        return {}

    def tower_joins(self, model: nn.Module) -> list[int]:
        """Return the tower layers whose outputs are concatenated to the features.

        -1 = the input of the first layer. Most checkpoints use one layer.
        """
        return [self.feature_layer(model)]

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the projector's input [m, d_pre] from the feature layer's states [m, k, d_v].

        k = patches of a visual token, in the order of `Sources.index`.
        """
        return squares.flatten(1)

    def tower_beside(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor | None:
        """Return the last columns of the projector's inputs [n, d_pre] that another tower made.

        `tower_leave` gives the columns before them. None = there is no other tower.
        """
        return None

    def tower_alone(self, model: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which another tower gives zeros, for proofs of places."""
        return nullcontext()

    def tower_deep(self, model: nn.Module, layer: int, squares: torch.Tensor) -> list[torch.Tensor]:
        """Return further features [m, d] (deepstack) from a layer's states [m, k, d_v]."""
        return []

    def tower_attend(
        self, model: nn.Module, layer: int, states: torch.Tensor, follow: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the states [b, tokens, d] after a block's attention and residual add."""
        raise InputError(f"{self.title} has no reduction inside the vision tower yet.")

    def tower_mlp(self, model: nn.Module, layer: int, states: torch.Tensor) -> torch.Tensor:
        """Return the states after the block's MLP and residual add (its second half)."""
        raise InputError(f"{self.title} has no reduction inside the vision tower yet.")
