"""PaddleOCR-VL: Qwen2-VL's grids and positions around a SigLIP tower; it reads parts of pages.

The patches of an image are in raster order in the tower; the projector joins 2 x 2 of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tokviz.models.families.family import Family, Inputs, family
from tokviz.models.families.qwen2_vl import Qwen2VL, grids
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout


@family
class PaddleOcrVL(Qwen2VL):
    """A SigLIP tower with rotary positions beside its own, an MLP, Ernie 4.5 with M-RoPE."""

    film = Family.film
    film_pixels = None
    name = "paddleocr_vl"
    title = "PaddleOCR-VL"
    model_types = ("paddleocr_vl",)

    def image_mark(self, processor: Any) -> str:
        """Return the placeholder between its start and end tokens."""
        return f"<|IMAGE_START|>{processor.image_token}<|IMAGE_END|>"

    def frames_per_image(self, model: nn.Module) -> int:
        """Return 1: each frame is a picture of its own."""
        return 1

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return model.model.visual.vision_model.encoder.layers  # type: ignore

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the module that joins and projects patches."""
        return model.model.projector  # type: ignore[union-attr, return-value]

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return the projected states of squares of patches, [m, 4 d_v] -> [m, d].

        The projector gets the squares below each other, as one image that is a square wide.
        """
        side = int(self._joined(model) ** 0.5)
        grid = torch.tensor([[1, side * len(pre), side]])
        return self.projector(model)(pre.reshape(len(pre) * side * side, -1), grid)

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the square of patches of each token."""
        side = int(self._joined(model) ** 0.5)
        return Sources.squares(layout, grids(inputs)[:, 1:].cpu().numpy(), side)

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the patches of each token after the tower's last norm, one after the other."""
        tower: Any = model.model.visual.vision_model  # type: ignore[union-attr]
        return tower.post_layernorm(squares).flatten(1)

    def tower_attend(
        self, model: nn.Module, layer: int, states: torch.Tensor, follow: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the states after a block's first half: attention within each image."""
        block: Any = self.tower_layers(model)[layer]
        ends = torch.unique_consecutive(follow["image"], return_counts=True)[1].cumsum(0)
        attended, _ = block.self_attn(
            block.layer_norm1(states[0]),
            cu_seqlens=nn.functional.pad(ends, (1, 0)).to(torch.int32),
            position_embeddings=(follow["cos"], follow["sin"]),
        )
        return states + attended

    def tower_mlp(self, model: nn.Module, layer: int, states: torch.Tensor) -> torch.Tensor:
        """Return the states after a block's second half."""
        block: Any = self.tower_layers(model)[layer]
        return states + block.mlp(block.layer_norm2(states[0]))
