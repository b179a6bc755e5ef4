"""Aya Vision: square tiles and a thumbnail; the projector joins 2 x 2 patches to a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tokviz.models.families.family import Features, Inputs, family
from tokviz.models.families.idefics3 import square_tiles
from tokviz.models.families.internvl import tiled
from tokviz.models.families.llava import Llava
from tokviz.models.families.parts import one
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout, Tile

MANY = -1
"""Of visual tokens: more than one tile has."""


@family
class AyaVision(Llava):
    """SigLIP tower without [CLS], pixel shuffle and SwiGLU, Cohere 2 decoder; thumbnail last.

    The picture is resized to a grid of square tiles, so that no part of it is cut off. A decoder
    layer adds attention and MLP side by side, both of the same normed states.
    """

    name = "aya_vision"
    title = "Aya Vision"
    model_types = ("aya_vision",)

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Lower the number of tiles beside the thumbnail."""
        images = processor.image_processor
        tiles = max(most // self.side(model) ** 2 - 1, images.min_patches)
        if tiles >= images.max_patches:
            return False
        images.max_patches = tiles
        return True

    def factor(self, model: nn.Module) -> int:
        """Return the side of the square of patches that becomes one token."""
        return int(model.config.downsample_factor)  # type: ignore[union-attr, arg-type]

    def side(self, model: nn.Module) -> int:
        """Return how many rows and columns of tokens a tile has."""
        vision: Any = model.config.vision_config  # type: ignore[union-attr]
        return one(vision.image_size) // one(vision.patch_size) // self.factor(model)

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return the size of a patch, which the processor gives with its factor."""
        vision: Any = model.config.vision_config  # type: ignore[union-attr]
        return [("patch_size", processor.patch_size, one(vision.patch_size) * self.factor(model))]

    def encoder_outputs(self, features: Features) -> BaseModelOutputWithPooling:
        """Wrap features; the model takes [tiles, tokens, d]."""
        return BaseModelOutputWithPooling(pooler_output=features.tokens[None])  # type: ignore

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return the tiles of each image in the tower's order, t x t tokens each."""
        ids = inputs["input_ids"][0].cpu().numpy()
        sizes, side = [image.size for image in images], self.side(model)
        made: list[Tile] = []
        for image, size in enumerate(sizes):
            made += tiled(processor.image_processor, image, size, side, MANY)
        return square_tiles(made, np.flatnonzero(ids == self.image_token_id(model)), sizes)

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the square of patches of each token."""
        return Sources.grid(layout, self.factor(model))

    def pre_features(self, flat: torch.Tensor, sources: Sources) -> torch.Tensor:
        """Return the states of each token's patches one after the other, [n, k d_v]."""
        return flat[torch.as_tensor(sources.index, device=flat.device)].flatten(1)

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return the projected states; each token is a picture of k patches to the projector."""
        squares = pre.unflatten(1, (self.factor(model) ** 2, -1))
        return self.projector(model)(squares).flatten(0, 2)

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the patches of each token one after the other; no norm follows the last layer."""
        return squares.flatten(1)
