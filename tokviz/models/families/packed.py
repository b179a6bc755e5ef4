"""Families with Pixtral's tower, which runs all pictures of a prompt as one sequence of patches.

The tower takes pictures of any size: it sees each in its own proportions, without padding. A mask
hides the pictures from each other, and each patch is rotated by its row and its column. Behind the
tower the projector joins squares of patches to visual tokens (of Pixtral 12B: one patch each). The
patches of a picture are in raster order, so that those of a square are not next to each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isqrt
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers.models.pixtral.modeling_pixtral import generate_block_attention_mask

from tokviz.errors import InputError, ModelError
from tokviz.models.families.family import Family, Inputs
from tokviz.models.families.llava import covered
from tokviz.models.families.qwen2_vl import numbered, stretched_layout
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout


class PackedTower(Family):
    """A family with Pixtral's tower and a projector that joins `side` x `side` patches."""

    def check_model(self, model: nn.Module) -> None:
        """Raise ModelError for checkpoints that make visual tokens of several tower layers."""
        super().check_model(model)
        layers = getattr(model.config, "vision_feature_layer", -1)
        if not isinstance(layers, int):
            raise ModelError(
                f"it joins the tower layers {layers}, and {self.title}'s projector takes one."
            )

    def tower(self, model: nn.Module) -> Any:
        """Return the tower."""
        return model.model.vision_tower  # type: ignore[union-attr]

    def side(self, model: nn.Module) -> int:
        """Return how many patches the side of a visual token has."""
        return int(model.config.spatial_merge_size)  # type: ignore[union-attr, arg-type]

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return self.tower(model).transformer.layers

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return the tower layer whose output becomes the features."""
        count = len(self.tower_layers(model))
        chosen: Any = getattr(model.config, "vision_feature_layer", -1)
        # hidden_states[i] is the output of block i - 1
        return (chosen if chosen >= 0 else count + 1 + chosen) - 1

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Lower the longest side to which a picture is resized."""
        images = processor.image_processor
        longest = max(isqrt(most), 1) * self.tower(model).patch_size * self.side(model)
        size = images.size
        if longest >= (size.longest_edge or max(size.height, size.width)):
            return False
        images.size = replace(images.size, longest_edge=longest)
        return True

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return the sizes of a patch and of a visual token."""
        return [
            ("patch_size", processor.patch_size, self.tower(model).patch_size),
            ("spatial_merge_size", processor.spatial_merge_size, self.side(model)),
        ]

    # -- patches and tokens -------------------------------------------------------------------

    def grids(self, model: nn.Module, inputs: Inputs) -> np.ndarray:
        """Return rows and columns of patches of each picture, int64 [images, 2]."""
        return inputs["image_sizes"].cpu().numpy() // self.tower(model).patch_size

    def image_patches(self, model: nn.Module, inputs: Inputs) -> list[int]:
        """Return the patches of each picture."""
        return self.grids(model, inputs).prod(1).tolist()

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return one grid per picture; pixels of squares that are not whole are not seen."""
        side, tower = self.side(model), self.tower(model)
        shapes = self.grids(model, inputs) // side
        for (rows, cols), image in zip(shapes, images, strict=True):
            check_seen(rows * cols, image.size, self.title)
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        layout = stretched_layout(is_visual, [image.size for image in images], shapes.tolist())
        # share of each picture that its squares cover, [images, (down, across)]
        parts = shapes * side * tower.patch_size / inputs["image_sizes"].cpu().numpy()
        tiles = (
            replace(tile, box=covered(tile.box, float(across), float(down)))
            for tile, (down, across) in zip(layout.tiles, parts, strict=True)
        )
        return replace(layout, tiles=tuple(tiles))

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the square of patches of each token."""
        return Sources.squares(layout, self.grids(model, inputs), self.side(model))

    def pre_features(self, flat: torch.Tensor, sources: Sources) -> torch.Tensor:
        """Return the joined states of each token's patches, [n, side * side * d_v]."""
        return flat[torch.as_tensor(sources.index, device=flat.device)].flatten(1)

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return the projected states of squares of patches, [m, side * side * d_v] -> [m, d].

        The projector gets the squares below each other, as one picture that is a square wide.
        """
        side = self.side(model)
        size = np.array([len(pre), 1]) * side * self.tower(model).patch_size
        patches = pre.reshape(len(pre) * side * side, -1)
        return self.projector(model)(patches, torch.from_numpy(size[None]))

    # -- the tower block by block -------------------------------------------------------------

    def tower_follow(
        self, model: nn.Module, inputs: Inputs, given: Mapping[str, Any]
    ) -> dict[str, torch.Tensor]:
        """Return each patch's rotary angles, and the number of its picture."""
        cos, sin = given["position_embeddings"]
        lengths = torch.tensor(self.image_patches(model, inputs), device=cos.device)
        return {"cos": cos, "sin": sin, "image": numbered(lengths)}

    def tower_attend(
        self, model: nn.Module, layer: int, states: torch.Tensor, follow: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the states after a block's first half, the pictures hidden from each other."""
        block: Any = self.tower_layers(model)[layer]
        lengths = torch.unique_consecutive(follow["image"], return_counts=True)[1]
        attended, _ = block.attention(
            block.attention_norm(states),
            attention_mask=generate_block_attention_mask(lengths.tolist(), states),
            position_embeddings=(follow["cos"], follow["sin"]),
        )
        return states + attended

    def tower_mlp(self, model: nn.Module, layer: int, states: torch.Tensor) -> torch.Tensor:
        """Return the states after a block's second half."""
        block: Any = self.tower_layers(model)[layer]
        return states + block.feed_forward(block.ffn_norm(states))


def check_seen(tokens: int, size: tuple[int, int], title: str) -> None:
    """Raise InputError for a picture too narrow for one visual token.

    Args:
        tokens: of the picture.
        size: (width, height).
        title: the family's name.
    """
    if not tokens:
        raise InputError(
            f"a picture of {size[0]} x {size[1]} pixels gives {title} no visual token: scaled to "
            "the model's size, its short side is less than a token. Cut a part out of it."
        )
