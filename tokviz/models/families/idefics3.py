"""Idefics3: square tiles in rows, then the whole image once more; s x s patches per visual token.

The processor resizes an image to a multiple of the tile and cuts it; the last tile is the whole
image, resized to a square. The prompt text names each tile (`<row_1_col_2>`, a line break after
each row, `<global-img>`). The layout reads these names, because computing the tiles from the image
size does not always agree with the processor. The names are text, not visual tokens, and are never
removed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from tokviz.models.families.family import Inputs, family
from tokviz.models.families.llava import Box
from tokviz.models.families.siglip import SiglipBlocks
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import PATCH, Layout, Tile

PLACE = re.compile(r"<row_(\d+)_col_(\d+)>\s*$")
"The text directly before a tile; before the whole image there is another text."


@family
class Idefics3(SiglipBlocks):
    """SigLIP-like tower without [CLS], pixel shuffle, one matrix, decoder under `text_model`."""

    name = "idefics3"
    title = "Idefics3"
    model_types = ("idefics3",)

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Lower the longest side to which a picture is resized before it is cut into squares."""
        images = processor.image_processor
        tile = int(images.max_image_size["longest_edge"])
        # k x k squares and the whole picture, as many tokens each
        squares = max(most // processor.image_seq_len - 1, 1)
        longest = math.isqrt(squares) * tile
        if not images.do_image_splitting or longest >= images.size.longest_edge:
            return False
        images.size = replace(images.size, longest_edge=longest)
        return True

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return model.model.vision_model.encoder.layers  # type: ignore[union-attr, return-value]

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return the last tower layer; a norm follows it."""
        return len(self.tower_layers(model)) - 1

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the matrix whose input is the concatenated s x s patches of a token."""
        return model.model.connector.modality_projection  # type: ignore[union-attr, return-value]

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the s x s patches that pixel shuffle joins into each token."""
        return Sources.grid(layout, model.config.scale_factor)  # type: ignore[union-attr, arg-type]

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the states after the tower's last norm and pixel shuffle, square by square."""
        inner: Any = model.model
        joined = inner.connector.pixel_shuffle(
            inner.vision_model.post_layernorm(squares), inner.connector.scale_factor
        )
        return joined.flatten(1)

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return the tiles of every image, in rows, then the image as a whole."""
        ids = inputs["input_ids"][0].cpu().numpy()
        position = np.flatnonzero(ids == self.image_token_id(model))
        decode = processor.tokenizer.decode
        return tiled_layout(runs(position, ids, decode), position, [image.size for image in images])


@dataclass(frozen=True)
class PlaceholderRun:
    """Consecutive placeholders: those of one tile."""

    count: int
    place: tuple[int, int] | None
    "(row, column) among the tiles of the image, from 0; None = the whole image."


def runs(position: np.ndarray, ids: np.ndarray, decode: Any) -> list[PlaceholderRun]:
    """Return the runs of placeholders with the tile that the prompt names for each.

    Args:
        position: [n], indices of the placeholders, ascending.
        ids: [s], the prompt.
        decode: from token ids to text.
    """
    found, end = [], 0
    for run in np.split(position, np.flatnonzero(np.diff(position) > 1) + 1):
        named = PLACE.search(decode(ids[end : run[0]]))
        place = (int(named[1]) - 1, int(named[2]) - 1) if named else None
        found.append(PlaceholderRun(len(run), place))
        end = int(run[-1]) + 1
    return found


def tiled_layout(
    tiles: Sequence[PlaceholderRun], position: np.ndarray, sizes: Sequence[tuple[int, int]]
) -> Layout:
    """Return the layout of images cut into equal tiles; the last tile of each is the whole image.

    Args:
        tiles: the runs of placeholders, in prompt order; each is a square grid.
        position: [n], rows of the placeholders in the prompt.
        sizes: (width, height) of each image.
    """
    made: list[Tile] = []
    own: list[tuple[int, int]] = []
    for run in tiles:
        image = sum(tile.role != "tile" for tile in made)
        side, (width, height) = isqrt(run.count), sizes[image]
        if run.place is not None:
            own.append(run.place)
            made.append(Tile(image, side, side, (0.0, 0.0, 0.0, 0.0), "tile"))
            continue
        rows, cols = (max(axis) + 1 for axis in zip(*own, strict=True)) if own else (1, 1)
        for back, (row, col) in enumerate(own):
            x, y = width / cols, height / rows
            box = (col * x, row * y, (col + 1) * x, (row + 1) * y)
            made[len(made) - len(own) + back] = Tile(image, side, side, box, "tile")
        whole = (0.0, 0.0, float(width), float(height))
        made.append(Tile(image, side, side, whole, "thumbnail" if own else "whole"))
        own = []
    return square_tiles(made, position, sizes)


def equal_parts(size: tuple[int, int], rows: int, cols: int) -> list[Box]:
    """Return the boxes of equal parts of a picture, row by row, in its pixels.

    Args:
        size: (width, height) of the picture.
        rows: rows of parts.
        cols: parts in a row.
    """
    w, h = size[0] / cols, size[1] / rows
    return [
        (col * w, row * h, (col + 1) * w, (row + 1) * h)
        for row in range(rows)
        for col in range(cols)
    ]


def square_tiles(
    tiles: Sequence[Tile], position: np.ndarray, sizes: Sequence[tuple[int, int]]
) -> Layout:
    """Return the layout of tiles that follow each other, each a full grid in raster order."""
    counts = [tile.rows * tile.cols for tile in tiles]
    cells = [np.divmod(np.arange(c), t.cols) for c, t in zip(counts, tiles, strict=True)]
    return Layout(
        sizes=tuple(sizes),
        tiles=tuple(tiles),
        tile=np.repeat(np.arange(len(tiles), dtype=np.int16), counts),
        row=np.concatenate([row for row, _ in cells]).astype(np.int16),
        col=np.concatenate([col for _, col in cells]).astype(np.int16),
        kind=np.full(sum(counts), PATCH, np.uint8),
        position=position.astype(np.int32),
    )
