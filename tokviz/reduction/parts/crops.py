"""Which crop of its image a token comes from: a thumbnail, and tiles on one canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokviz.errors import InputError, MissingSignal
from tokviz.reduction.parts.spatial import grid_of
from tokviz.reduction.signals import Crop, Signals


@dataclass(frozen=True)
class CropLayout:
    """The n tokens of a decision as cells of crops."""

    crops: tuple[Crop, ...]
    tile: np.ndarray
    "int64 [n], number of each token's crop."
    cell: np.ndarray
    "int64 [n], raster number of each token in its crop."

    @classmethod
    def of(cls, signals: Signals) -> CropLayout:
        """Read the layout from `crops`, `tile` and `cell`; without crops the grid is one crop.

        Raises:
            InputError: the crops do not fit the tokens.
        """
        n = signals.n or 0
        if "crops" not in signals:
            grid, _ = grid_of(signals)
            return cls((Crop("whole", *grid),), np.zeros(n, np.int64), np.arange(n))
        crops = signals["crops"]
        sizes = [crop.size for crop in crops]
        if "tile" in signals and "cell" in signals:
            tile, cell = signals["tile"].cpu().numpy(), signals["cell"].cpu().numpy()
        elif sum(sizes) == n:
            tile = np.repeat(np.arange(len(crops)), sizes)
            cell = np.concatenate([np.arange(size) for size in sizes])
        else:
            raise InputError(
                f"the crops hold {sum(sizes)} tokens, but there are {n}: give 'tile' and 'cell'."
            )
        if tile.min() < 0 or tile.max() >= len(crops):
            raise InputError(f"'tile' must be 0 to {len(crops) - 1}, the number of a crop.")
        if cell.min() < 0 or (cell >= np.array(sizes)[tile]).any():
            raise InputError("'cell' must be a raster number inside the token's crop.")
        return cls(crops, tile, cell)

    @property
    def thumbnail(self) -> int | None:
        """Number of the thumbnail; None without one."""
        return next((i for i, c in enumerate(self.crops) if c.role == "thumbnail"), None)

    @property
    def tiles(self) -> list[int]:
        """Numbers of all crops but the thumbnail."""
        return [i for i in range(len(self.crops)) if i != self.thumbnail]

    def members(self, crop: int) -> np.ndarray:
        """Return the tokens of one crop, ascending."""
        return np.flatnonzero(self.tile == crop)

    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return canvas, row and column of every token; the canvas of all tiles is number 1."""
        cols = np.array([c.cols for c in self.crops])[self.tile]
        start = np.array([(c.row0, c.col0) for c in self.crops])[self.tile]
        canvas = (self.tile != (-1 if self.thumbnail is None else self.thumbnail)).astype(np.int64)
        return canvas, self.cell // cols + start[:, 0], self.cell % cols + start[:, 1]

    def regions(self) -> np.ndarray:
        """Return, for each cell of the thumbnail, which of `tiles` shows that part of the image.

        The canvas is divided by whole cells; the last row and column of tiles take the remainder.
        """
        if self.thumbnail is None:
            raise InputError("this image has no thumbnail.")
        thumb = self.crops[self.thumbnail]
        starts = [(self.crops[i].row0, self.crops[i].col0) for i in self.tiles]
        downs, acrosses = (sorted({s[axis] for s in starts}) for axis in (0, 1))
        number = {place: i for i, place in enumerate(starts)}
        row, col = np.divmod(np.arange(thumb.size), thumb.cols)
        down = np.minimum(row // max(thumb.rows // len(downs), 1), len(downs) - 1)
        across = np.minimum(col // max(thumb.cols // len(acrosses), 1), len(acrosses) - 1)
        places = zip(down, across, strict=True)
        return np.array([number.get((downs[d], acrosses[a]), -1) for d, a in places])


def crop_scores(
    signals: Signals, layout: CropLayout, kind: str, layer: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the [CLS] score of every token [n], and of every cell of the thumbnail.

    Args:
        signals: holds thumb_cls_<kind> and crop_cls_<kind>, or cls_<kind> over all tokens.
        layout: of these tokens.
        kind: attn or logits.
        layer: of the tower.
    """
    thumb, whole = f"thumb_cls_{kind}", f"cls_{kind}"
    score = np.zeros(signals.n or 0, np.float32)
    if thumb in signals and f"crop_cls_{kind}" in signals:
        cells = signals.at(thumb, layer).mean(0).cpu().numpy()
        tiles = signals.at(f"crop_cls_{kind}", layer).mean(0).cpu().numpy()
        maps = iter(tiles)
        for crop in range(len(layout.crops)):
            one = cells if crop == layout.thumbnail else next(maps, None)
            here = layout.members(crop)
            if one is None or len(one) != layout.crops[crop].size:
                raise InputError(f"crop_cls_{kind} and thumb_cls_{kind} do not fit the crops.")
            score[here] = one[layout.cell[here]]
        return score, cells
    if whole not in signals:
        raise MissingSignal(f"the signal {thumb!r} is missing, and so is {whole!r}.")
    score = signals.at(whole, layer).mean(0).cpu().numpy()
    if layout.thumbnail is None:
        return score, score[:0]
    here = layout.members(layout.thumbnail)
    cells = np.zeros(layout.crops[layout.thumbnail].size, np.float32)
    cells[layout.cell[here]] = score[here]
    return score, cells
