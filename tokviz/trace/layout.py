"""The place of every visual token: in the prompt, in its tile's grid, and in the original image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

PATCH, NEWLINE, SEPARATOR = 0, 1, 2
KINDS = ("patch", "newline", "separator")
"""Names of the values in `Layout.kind`. Newlines and separators have no box (NaN)."""


@dataclass(frozen=True)
class Tile:
    """One rectangle of an image that is a grid of tokens for the vision tower."""

    image: int
    rows: int
    cols: int
    box: tuple[float, float, float, float]
    "x0, y0, x1, y1 in pixels of the original image; outside it for a tile with padding."
    role: str = "whole"
    "whole, tile, thumbnail, or frame for a whole frame of a film."
    time: tuple[float, float] | None = None
    "Seconds of the first and the last frame of a film that its tokens show; None = no film."


@dataclass(frozen=True, eq=False)
class Layout:
    """The n visual tokens of one prompt, in the order of the prompt."""

    sizes: tuple[tuple[int, int], ...]
    "(width, height) of each original image."
    tiles: tuple[Tile, ...]
    tile: np.ndarray
    "int16 [n], index into tiles."
    row: np.ndarray
    "int16 [n], row in the tile's grid, -1 for newlines and separators."
    col: np.ndarray
    "int16 [n]."
    kind: np.ndarray
    "uint8 [n], PATCH, NEWLINE or SEPARATOR."
    position: np.ndarray
    "int32 [n], index in the prompt's input_ids, ascending."

    @property
    def n(self) -> int:
        """Number of visual tokens."""
        return len(self.tile)

    @property
    def image(self) -> np.ndarray:
        """int16 [n], which image each token belongs to."""
        return np.array([t.image for t in self.tiles], np.int16)[self.tile]

    @property
    def box(self) -> np.ndarray:
        """float32 [n, 4], x0, y0, x1, y1 in original pixels; NaN for newlines and separators."""
        tiles = np.array([(*t.box, t.rows, t.cols) for t in self.tiles], np.float64).reshape(-1, 6)
        x0, y0, x1, y1, rows, cols = tiles[self.tile].T
        width, height = (x1 - x0) / cols, (y1 - y0) / rows
        left, top = x0 + self.col * width, y0 + self.row * height
        box = np.stack([left, top, left + width, top + height], 1).astype(np.float32)
        box[self.kind != PATCH] = np.nan
        return box

    @property
    def is_film(self) -> bool:
        """Whether the images are frames of a film, in the order of their times."""
        return bool(self.tiles) and all(tile.time is not None for tile in self.tiles)

    def timed(self, times: Sequence[tuple[float, float]]) -> Layout:
        """Return the layout of a film whose images have these times, first and last second."""
        roles = ["frame" if tile.role == "whole" else tile.role for tile in self.tiles]
        tiles = [
            replace(tile, time=times[tile.image], role=role)
            for tile, role in zip(self.tiles, roles, strict=True)
        ]
        return replace(self, tiles=tuple(tiles))

    def line(self, newline: int) -> np.ndarray:
        """Return the tokens of the row that a newline token ends; the row may cross tiles."""
        last = newline - 1
        roles = np.array([tile.role for tile in self.tiles])[self.tile[:newline]]
        same = (self.kind[:newline] == PATCH) & (self.row[:newline] == self.row[last])
        same &= roles == roles[last]
        other = np.flatnonzero(~same)
        return np.arange(other[-1] + 1 if len(other) else 0, newline)

    @property
    def unseen_share(self) -> float:
        """Share of the pictures' area that no tile covers, 0 to 1."""
        shown = {tile.image for tile in self.tiles}
        area = sum(width * height for i, (width, height) in enumerate(self.sizes) if i in shown)
        strips = [strip for i in sorted(shown) for strip in self.unseen(i)]
        return sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in strips) / area if area else 0.0

    def unseen(self, image: int) -> list[tuple[float, float, float, float]]:
        """Return the rectangles of an image that no tile covers (a centre crop's margins)."""
        width, height = self.sizes[image]
        boxes = [t.box for t in self.tiles if t.image == image]
        x0, y0 = max(min(b[0] for b in boxes), 0), max(min(b[1] for b in boxes), 0)
        x1, y1 = min(max(b[2] for b in boxes), width), min(max(b[3] for b in boxes), height)
        strips = [(0, 0, width, y0), (0, y1, width, height), (0, y0, x0, y1), (x1, y0, width, y1)]
        return [s for s in strips if s[2] - s[0] > 0.5 and s[3] - s[1] > 0.5]
