"""How LLaVA-NeXT and LLaVA-OneVision cut a picture, and where each of its tokens comes from.

The picture is resized to one square tile (the thumbnail). It is also scaled to the best of a list
of canvas sizes, centred and padded there, and cut into square tiles. After the tower the tokens of
the tiles form the grid of the canvas again, rows and columns of padding are cut off, and a newline
embedding ends each row. OneVision scales this grid down bilinearly if it is larger than a limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution

from tokviz.errors import ModelError
from tokviz.models.families.llava import Box, covered
from tokviz.models.families.scaled_axis import Axis
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import NEWLINE, PATCH, Layout, Tile

SHRINK_FROM = 1.1
"Ratio of sides above which OneVision scales the grid down."


@dataclass(frozen=True)
class Cutting:
    """How a checkpoint cuts pictures."""

    side: int
    "Pixels of a tile's side."
    patch: int
    "Pixels of a patch's side."
    pinpoints: Sequence[tuple[int, int]]
    "(height, width) of the canvases."
    most_tiles: int | None = None
    "The grid is scaled down when it is larger than about this many tiles; None = never."

    @property
    def grid(self) -> int:
        """Patches per side of a tile. Pixels beyond the last whole patch do not enter the model."""
        return self.side // self.patch

    def pixel(self, cell: int, end: bool = False) -> int:
        """Return where a column or row of the canvas grid starts (or ends), in canvas pixels."""
        tile, inside = divmod(cell - end, self.grid)
        return tile * self.side + (inside + end) * self.patch


@dataclass
class Tokens:
    """The visual tokens of a prompt, gathered image by image."""

    cutting: Cutting
    tiles: list[Tile] = field(default_factory=list)
    tile: list[np.ndarray] = field(default_factory=list)
    row: list[np.ndarray] = field(default_factory=list)
    col: list[np.ndarray] = field(default_factory=list)
    kind: list[np.ndarray] = field(default_factory=list)
    index: list[np.ndarray] = field(default_factory=list)
    "[n, 4] flat tower outputs, -1 = none."
    weight: list[np.ndarray] = field(default_factory=list)
    unit: list[np.ndarray] = field(default_factory=list)
    "[n, any], the patches that are removed in the tower with a token, see `Sources.units`."
    tower_rows: int = 0

    def add(
        self, tile: np.ndarray, row: np.ndarray, col: np.ndarray, index: np.ndarray, **more: Any
    ) -> None:
        """Add tokens.

        Args:
            tile: [a], as in the layout; so are row and col.
            row: [a].
            col: [a].
            index: [a] or [a, 4], flat tower outputs.
            **more: weight [a, 4], unit [a, any], kind (a value of Layout.kind).
        """
        count = len(tile)
        sources, weight = np.full((count, 4), -1, np.int64), np.zeros((count, 4), np.float32)
        wide = index.reshape(count, -1)
        sources[:, : wide.shape[1]] = wide
        weight[:, : wide.shape[1]] = more.get("weight", 1.0)
        sources[weight == 0] = -1
        self.tile.append(tile)
        self.row.append(row)
        self.col.append(col)
        self.index.append(sources)
        self.weight.append(weight)
        self.unit.append(more.get("unit", sources[:, :1]))
        self.kind.append(np.full(count, more.get("kind", PATCH), np.uint8))

    def structural(self, kind: int) -> None:
        """Add one token without a box, in the tile of the token before it."""
        none = np.array([-1])
        self.add(self.tile[-1][-1:], none, none, none, kind=kind)

    def square(self, image: int, box: Box, role: str) -> None:
        """Add a tile with all of its patches in raster order."""
        g = self.cutting.grid
        part = g * self.cutting.patch / self.cutting.side
        seen = covered(box, part, part)
        row, col = np.divmod(np.arange(g * g), g)
        first = self.tower_rows * g * g
        self.add(np.full(g * g, len(self.tiles)), row, col, first + np.arange(g * g))
        self.tiles.append(Tile(image, g, g, seen, role))
        self.tower_rows += 1

    def scaled(self, image: int, side: int) -> None:
        """Add a tile over an image of 1 x 1 whose grid is scaled down to `side` x `side` tokens."""
        g = self.cutting.grid
        part = g * self.cutting.patch / self.cutting.side
        axis, first = Axis(np.arange(g), g, side), self.tower_rows * g * g
        row, col = np.divmod(np.arange(side * side), side)
        pairs = [(a, b) for a in range(2) for b in range(2)]
        near = [first + axis.near[row, a] * g + axis.near[col, b] for a, b in pairs]
        weight = [axis.weight[row, a] * axis.weight[col, b] for a, b in pairs]
        own = [first + a[row] * g + b[col] for a in axis.own.T for b in axis.own.T]
        numbers = np.full(side * side, len(self.tiles))
        more = {"weight": np.stack(weight, 1), "unit": np.stack(own, 1)}
        self.add(numbers, row, col, np.stack(near, 1), **more)
        self.tiles.append(Tile(image, side, side, (0.0, 0.0, part, part)))
        self.tower_rows += 1

    def cut(self, image: int, size: tuple[int, int]) -> None:
        """Add a picture of (width, height): its thumbnail, then its tiles with newlines."""
        width, height = size
        cutting, g = self.cutting, self.cutting.grid
        self.square(image, (0.0, 0.0, float(width), float(height)), "thumbnail")
        canvas = select_best_resolution((height, width), list(cutting.pinpoints))
        down, across = canvas[0] // cutting.side, canvas[1] // cutting.side
        rows, cols = unpadded((height, width), (down * g, across * g))
        part = Canvas(self, image, size, canvas, across)
        tall, wide = len(rows), len(cols)
        ratio = math.sqrt(tall * wide / (cutting.most_tiles * g**2)) if cutting.most_tiles else 0
        if not tall:
            pass  # so long a picture that no row of its canvas is left: the thumbnail alone
        elif not wide:
            for _ in rows:  # so tall a one that no column is left: a newline for each row
                self.structural(NEWLINE)
        elif ratio > SHRINK_FROM:
            part.shrunk(rows, cols, (int(tall // ratio), int(wide // ratio)))
        else:
            part.whole(rows, cols)
        self.tower_rows += down * across

    def layout(self, is_visual: np.ndarray, sizes: Sequence[tuple[int, int]]) -> Layout:
        """Return the layout. Args: `is_visual` bool [s], which prompt rows are visual tokens."""
        return Layout(
            sizes=tuple(sizes),
            tiles=tuple(self.tiles),
            tile=np.concatenate(self.tile).astype(np.int16),
            row=np.concatenate(self.row).astype(np.int16),
            col=np.concatenate(self.col).astype(np.int16),
            kind=np.concatenate(self.kind),
            position=np.flatnonzero(is_visual).astype(np.int32),
        )

    def sources(self) -> Sources:
        """Return from which patches each token was formed."""
        index, weight = np.concatenate(self.index), np.concatenate(self.weight)
        patches = self.cutting.grid**2
        if (index[:, 1:] < 0).all():
            return Sources(index[:, :1], self.tower_rows, patches)
        most = max(unit.shape[1] for unit in self.unit)
        units = [np.pad(unit, [(0, 0), (0, most - unit.shape[1])], "edge") for unit in self.unit]
        return Sources(index, self.tower_rows, patches, weight, np.concatenate(units))


class Canvas:
    """One picture on its canvas of tiles; its tiles are consecutive tower rows, row by row."""

    def __init__(
        self,
        tokens: Tokens,
        image: int,
        size: tuple[int, int],
        canvas: tuple[int, int],
        across: int,
    ) -> None:
        """Args: `size` (width, height) of the picture, `canvas` (height, width) in pixels."""
        self.tokens, self.image, self.across = tokens, image, across
        width, height = size
        new_h, new_w = get_patch_output_size(np.empty((3, height, width)), canvas, "channels_first")
        self.scale = height / new_h, width / new_w
        self.start = (canvas[0] - new_h) // 2, (canvas[1] - new_w) // 2

    def span(self, cells: np.ndarray, axis: int) -> tuple[float, float]:
        """Return where consecutive rows (axis 0) or columns begin and end in the picture."""
        pixel = self.tokens.cutting.pixel
        begin, end = pixel(int(cells[0])), pixel(int(cells[-1]) + 1, end=True)
        start, scale = self.start[axis], self.scale[axis]
        return (begin - start) * scale, (end - start) * scale

    def tile(self, rows: np.ndarray, cols: np.ndarray, shape: tuple[int, int]) -> int:
        """Add the layout's tile over these rows and columns of the canvas; return its number."""
        (y0, y1), (x0, x1) = self.span(rows, 0), self.span(cols, 1)
        self.tokens.tiles.append(Tile(self.image, *shape, (x0, y0, x1, y1), "tile"))
        return len(self.tokens.tiles) - 1

    def flat(self, row: np.ndarray | int, col: np.ndarray) -> np.ndarray:
        """Return the flat tower output of cells of the canvas."""
        g = self.tokens.cutting.grid
        tower_row = self.tokens.tower_rows + (row // g) * self.across + col // g
        return tower_row * g * g + (row % g) * g + col % g

    def whole(self, rows: np.ndarray, cols: np.ndarray) -> None:
        """Add the canvas rows and columns without padding, and a newline after each row."""
        g = self.tokens.cutting.grid
        for own_rows in np.split(rows, np.flatnonzero(np.diff(rows // g)) + 1):
            own_cols = np.split(cols, np.flatnonzero(np.diff(cols // g)) + 1)
            numbers = [self.tile(own_rows, part, (len(own_rows), len(part))) for part in own_cols]
            tile = np.repeat(numbers, [len(part) for part in own_cols])
            col = np.concatenate([np.arange(len(part)) for part in own_cols])
            for local, row in enumerate(own_rows):
                index = self.flat(np.full(len(cols), row), cols)
                self.tokens.add(tile, np.full(len(cols), local), col, index)
                self.tokens.structural(NEWLINE)

    def shrunk(self, rows: np.ndarray, cols: np.ndarray, shape: tuple[int, int]) -> None:
        """Add the canvas scaled down to `shape`; each token is a mean of up to four patches.

        A token belongs to the tile that contains its centre.
        """
        g = self.tokens.cutting.grid
        down, across = Axis(rows, g, shape[0]), Axis(cols, g, shape[1])
        pairs = [(a, b) for a in range(2) for b in range(2)]
        for own_rows in down.parts():
            parts = across.parts()
            numbers = [self.part(rows, cols, shape, own_rows, own) for own in parts]
            tile = np.repeat(numbers, [len(own) for own in parts])
            col = np.concatenate([np.arange(len(own)) for own in parts])
            for local, row in enumerate(own_rows):
                near = [self.flat(down.near[row, a], across.near[:, b]) for a, b in pairs]
                weight = [down.weight[row, a] * across.weight[:, b] for a, b in pairs]
                unit = [self.flat(cell, own) for cell in down.own[row] for own in across.own.T]
                self.tokens.add(
                    tile,
                    np.full(shape[1], local),
                    col,
                    np.stack(near, 1),
                    weight=np.stack(weight, 1),
                    unit=np.stack(unit, 1),
                )
                self.tokens.structural(NEWLINE)

    def part(
        self,
        rows: np.ndarray,
        cols: np.ndarray,
        shape: tuple[int, int],
        own_rows: np.ndarray,
        own_cols: np.ndarray,
    ) -> int:
        """Add the layout's tile of some rows and columns of a scaled canvas; return its number.

        Args:
            rows: all rows of the canvas.
            cols: all its columns.
            shape: rows and columns after scaling.
            own_rows: those of the tile.
            own_cols: those of the tile.
        """
        edges = []
        for axis, (cells, own) in enumerate(((rows, own_rows), (cols, own_cols))):
            begin, end = self.span(cells, axis)
            step = (end - begin) / shape[axis]
            edges.append([begin + step * edge for edge in (own[0], own[-1] + 1)])
        (y0, y1), (x0, x1) = edges
        box = float(x0), float(y0), float(x1), float(y1)
        self.tokens.tiles.append(Tile(self.image, len(own_rows), len(own_cols), box, "tile"))
        return len(self.tokens.tiles) - 1


def check_canvas(
    size: tuple[int, int], theirs: Sequence[Sequence[int]], ours: Sequence[Sequence[int]]
) -> None:
    """Raise ModelError when processor and model cut a picture into other tiles.

    Args:
        size: (height, width) of the picture.
        theirs: (height, width) of the processor's canvases.
        ours: of the model's.
    """
    cut, expected = (tuple(select_best_resolution(size, list(some))) for some in (theirs, ours))
    if cut != expected:
        raise ModelError(
            "this model and its processor do not fit together: for this picture the processor's "
            f"image_grid_pinpoints give a canvas of {cut[1]} x {cut[0]} pixels, and the model's "
            f"config {expected[1]} x {expected[0]}. Give both the same list."
        )


def unpadded(original: tuple[int, int], grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the canvas grid that are not padding.

    Args:
        original: (height, width) of the picture.
        grid: (rows, cols) of the canvas.
    """
    (height, width), (rows, cols) = original, grid
    top = left = 0
    if width / height > cols / rows:
        top = (rows - int(round(height * (cols / width), 7))) // 2
    else:
        left = (cols - int(round(width * (rows / height), 7))) // 2
    return np.arange(top, rows - top), np.arange(left, cols - left)


def around(size: tuple[int, int]) -> Box:
    """Return the square around a picture that was padded on both sides."""
    width, height = size
    side = max(width, height)
    left, top = -((side - width) // 2), -((side - height) // 2)
    return float(left), float(top), float(left + side), float(top + side)
