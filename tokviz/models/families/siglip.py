"""The two halves of a CLIP or SigLIP block, which many families' towers consist of."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tokviz.models.families.family import Family
from tokviz.models.families.parts import needed
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout


class SiglipBlocks(Family):
    """A family whose tower has pre-norm blocks under the names of CLIP and SigLIP."""

    def tower_refusal(self, model: nn.Module, layout: Layout, sources: Sources) -> str | None:
        """Return why no method can act inside the tower, as for towers of other blocks."""
        names = ("layer_norm1", "self_attn", "layer_norm2", "mlp")
        ours = type(self).tower_attend is SiglipBlocks.tower_attend  # InternVL brings its own
        block = self.tower_layers(model)[0]
        if ours and not (
            all(hasattr(block, name) for name in names)
            and needed(block.self_attn.forward) == ["hidden_states"]
        ):
            kind = type(block).__name__
            return (
                f"this checkpoint's vision tower is made of {kind}, inside which no method can act "
                "yet. Choose a method that acts before or inside the language model."
            )
        return super().tower_refusal(model, layout, sources)

    def tower_attend(
        self, model: nn.Module, layer: int, states: torch.Tensor, follow: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the states after attention and residual add."""
        block: Any = self.tower_layers(model)[layer]
        attended, _ = block.self_attn(hidden_states=block.layer_norm1(states), attention_mask=None)
        return states + attended

    def tower_mlp(self, model: nn.Module, layer: int, states: torch.Tensor) -> torch.Tensor:
        """Return the states after the MLP and residual add."""
        block: Any = self.tower_layers(model)[layer]
        return states + block.mlp(block.layer_norm2(states))
