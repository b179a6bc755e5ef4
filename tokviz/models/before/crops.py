"""Which crop of its picture each visual token comes from, for methods that split a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tokviz.reduction.signals import Crop
from tokviz.trace.layout import Layout, Tile


def crop_signals(layout: Layout, images: Sequence[int], tokens: np.ndarray) -> dict[str, Any]:
    """Return the signals crops, tile, cell and unpad_mask of some tokens.

    Args:
        layout: of the whole prompt.
        images: numbers of the images that the tokens belong to, ascending.
        tokens: original numbers of the tokens, patches only.
    """
    numbers = [i for i, tile in enumerate(layout.tiles) if tile.image in images]
    tiles = [layout.tiles[i] for i in numbers]
    cols = np.array([tile.cols for tile in tiles], np.int64)
    # number among all tiles -> number among these images' tiles
    tile = np.searchsorted(numbers, layout.tile[tokens])
    width, height = np.array(layout.sizes)[layout.image[tokens]].T
    x0, y0, x1, y1 = layout.box[tokens].T
    # a box outside its image is padding that the processor added
    inside = (x1 > 0) & (y1 > 0) & (x0 < width) & (y0 < height)
    return {
        "crops": [crop for i in images for crop in crops([t for t in tiles if t.image == i])],
        "tile": tile,
        "cell": layout.row[tokens].astype(np.int64) * cols[tile] + layout.col[tokens],
        "unpad_mask": inside.astype(np.float32),
    }


def crops(tiles: list[Tile]) -> list[Crop]:
    """Return one Crop per tile of an image, with its place on the grid of all tiles' tokens."""
    parts = [tile for tile in tiles if tile.role != "thumbnail"]
    down = starts({round(tile.box[1], 1): tile.rows for tile in parts})
    across = starts({round(tile.box[0], 1): tile.cols for tile in parts})
    return [
        Crop(tile.role, tile.rows, tile.cols)
        if tile.role == "thumbnail"
        else Crop(tile.role, tile.rows, tile.cols, down[round(tile.box[1], 1)],
                  across[round(tile.box[0], 1)])
        for tile in tiles
    ]  # fmt: skip


def starts(lengths: dict[float, int]) -> dict[float, int]:
    """Return the start of each length when the lengths follow each other in order of their keys."""
    begun, now = {}, 0
    for key in sorted(lengths):
        begun[key] = now
        now += lengths[key]
    return begun
