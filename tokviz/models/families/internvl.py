"""InternVL (the transformers classes): tiles and a thumbnail, 2 x 2 patches to a visual token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

from tokviz.models.families.family import Features, Inputs, family
from tokviz.models.families.film_pixels import FilmPixels
from tokviz.models.families.llava import Llava
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import PATCH, Layout, Tile


@family
class InternVL(Llava):
    """InternViT with [CLS], pixel shuffle, MLP projector, decoder; the thumbnail comes last.

    The picture is resized to a grid of square tiles, so that no part of it is cut off.
    """

    film = "One tile per frame, behind its number as text."
    film_pixels = FilmPixels
    name = "internvl"
    title = "InternVL"
    model_types = ("internvl",)

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Lower the number of tiles beside the thumbnail."""
        images = processor.image_processor
        tiles = max(most // processor.image_seq_length - 1, images.min_patches)
        if not images.crop_to_patches or tiles >= images.max_patches:
            return False
        images.max_patches = tiles
        return True

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return model.model.vision_tower.encoder.layer  # type: ignore[union-attr, return-value]

    def has_cls(self, model: nn.Module) -> bool:
        """Return True: every InternViT has one."""
        return True

    def factor(self, model: nn.Module) -> int:
        """Return the side of the square of patches that becomes one token (pixel shuffle)."""
        return round(1 / model.config.downsample_ratio)  # type: ignore[union-attr, operator]

    def encoder_outputs(self, features: Features) -> BaseModelOutputWithPooling:
        """Wrap features; the model takes [tiles, tokens, d]."""
        return BaseModelOutputWithPooling(pooler_output=features.tokens[None])  # type: ignore

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return the tiles of each image in the tower's order, t x t tokens each."""
        vision: Any = model.config.vision_config  # type: ignore[union-attr]
        side = vision.image_size[0] // vision.patch_size[0] // self.factor(model)
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        position = np.flatnonzero(is_visual).astype(np.int32)
        runs = np.split(position, np.flatnonzero(np.diff(position) > 1) + 1)
        tiles = [
            tile
            for image, run in enumerate(runs)
            for tile in tiled(processor.image_processor, image, images[image].size, side, len(run))
        ]
        row, col = np.divmod(np.arange(side * side, dtype=np.int16), np.int16(side))
        return Layout(
            sizes=tuple(image.size for image in images),
            tiles=tuple(tiles),
            tile=np.repeat(np.arange(len(tiles), dtype=np.int16), side * side),
            row=np.tile(row, len(tiles)),
            col=np.tile(col, len(tiles)),
            kind=np.full(len(position), PATCH, np.uint8),
            position=position,
        )

    def tower_attend(
        self, model: nn.Module, layer: int, states: torch.Tensor, follow: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the states after the first half of an InternViT block."""
        block: Any = self.tower_layers(model)[layer]
        return block.lambda_1 * block.attention(block.layernorm_before(states))[0] + states

    def tower_mlp(self, model: nn.Module, layer: int, states: torch.Tensor) -> torch.Tensor:
        """Return the states after the second half of an InternViT block."""
        block: Any = self.tower_layers(model)[layer]
        return block.lambda_2 * block.mlp(block.layernorm_after(states)) + states

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the states after pixel shuffle, and before it the last norm if it is used."""
        inner: Any = model.model
        if model.config.vision_feature_layer == -1:  # type: ignore[union-attr]
            squares = inner.vision_tower.layernorm(squares)
        side = self.factor(model)
        joined = inner.pixel_shuffle(squares.unflatten(1, (side, side)), 1 / side)
        return joined.flatten(1)

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the square of patches of each token."""
        return Sources.grid(layout, self.factor(model))


def tiled(processor: Any, image: int, size: tuple[int, int], side: int, tokens: int) -> list[Tile]:
    """Return the tiles of one image.

    Args:
        processor: the image processor.
        image: its number.
        size: (width, height) of the original image.
        side: rows and columns of tokens in a tile.
        tokens: number of its visual tokens.
    """
    if tokens == side * side:
        return cut_into(image, size, side, 1, 1)
    target = processor.size["height"], processor.size["width"]
    cols, rows = get_optimal_tiled_canvas(
        size[::-1], target, processor.min_patches, processor.max_patches
    )
    return cut_into(image, size, side, cols, rows)


def cut_into(image: int, size: tuple[int, int], side: int, cols: int, rows: int) -> list[Tile]:
    """Return equal tiles row by row, and the whole image behind them if there are several.

    Args:
        image: its number.
        size: (width, height) of the original image.
        side: rows and columns of tokens in a tile.
        cols: tiles in a row.
        rows: rows of tiles.
    """
    width, height = size
    whole = (0.0, 0.0, float(width), float(height))
    if cols * rows == 1:
        return [Tile(image, side, side, whole)]
    w, h = width / cols, height / rows
    tiles = [
        Tile(image, side, side, (c * w, r * h, (c + 1) * w, (r + 1) * h), "tile")
        for r in range(rows)
        for c in range(cols)
    ]
    return [*tiles, Tile(image, side, side, whole, "thumbnail")]
