"""The two halves of a CLIP or SigLIP block, which many families' towers consist of."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tokviz.models.families.family import Family


class SiglipBlocks(Family):
    """A family whose tower has pre-norm blocks under the names of CLIP and SigLIP."""

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
