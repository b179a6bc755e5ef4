"""Command A Vision: Aya Vision with other canvases, and a norm at the end of the tower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from tokviz.models.families.aya_vision import AyaVision
from tokviz.models.families.cohere_pixels import canvas
from tokviz.models.families.family import Inputs, family
from tokviz.models.families.idefics3 import square_tiles
from tokviz.models.families.internvl import cut_into
from tokviz.trace.layout import Layout, Tile


@family
class Cohere2Vision(AyaVision):
    """SigLIP 2 tower without [CLS], pixel shuffle and SwiGLU, Cohere 2; thumbnail last."""

    name = "cohere2_vision"
    title = "Command A Vision"
    model_types = ("cohere2_vision",)

    def feature_layer(self, model: nn.Module) -> int:
        """Return the last tower layer; a norm follows it."""
        return len(self.tower_layers(model)) - 1

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return the side of a tile in tokens, which the processor calls a patch size."""
        return [("patch_size", processor.patch_size, self.side(model))]

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the patches of each token after the tower's last norm, one after the other."""
        return model.model.vision_tower.post_layernorm(squares).flatten(1)  # type: ignore

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return the tiles of each image in the tower's order, t x t tokens each."""
        ids = inputs["input_ids"][0].cpu().numpy()
        sizes, side = [image.size for image in images], self.side(model)
        pixels = processor.image_processor
        most = pixels.max_patches if pixels.crop_to_patches else 1
        tiles: list[Tile] = []
        for image, size in enumerate(sizes):
            cut = canvas(size, pixels.size["height"], most)
            tiles += cut_into(image, size, side, *cut)
        return square_tiles(tiles, np.flatnonzero(ids == self.image_token_id(model)), sizes)
