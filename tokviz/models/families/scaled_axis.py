"""Where the tokens of a grid come from that was scaled down bilinearly, one axis at a time."""

from __future__ import annotations

import numpy as np


class Axis:
    """One axis of a canvas that is scaled down: which cells each new point is computed from."""

    def __init__(self, cells: np.ndarray, grid: int, count: int) -> None:
        """Args: `cells` [length] of the canvas, `grid` cells of a tile, `count` points."""
        near, self.weight = bilinear(len(cells), count)
        self.near = cells[near]
        "[count, 2], the two cells next to each point; `weight` has their shares."
        # centre of each point in units of cells; half-pixel centres as in torch's interpolation
        place = (np.arange(count) + 0.5) * (len(cells) / count) - 0.5
        self.tile = cells[np.floor(place + 0.5).astype(np.int64)] // grid
        "[count], the tile of each point."
        far = np.abs(np.arange(len(cells)) - place[:, None])
        far[self.tile[:, None] != cells // grid] = np.inf
        owner = np.where(np.isinf(far).all(0), -1, far.argmin(0))
        own = [cells[owner == point] for point in range(count)]
        most = max(len(one) for one in own)
        self.own = np.stack([one[np.arange(most) * len(one) // most] for one in own])
        "[count, most], the cells nearest to each point in its tile, some listed twice."

    def parts(self) -> list[np.ndarray]:
        """Return the points of each tile."""
        ends = np.flatnonzero(np.diff(self.tile)) + 1
        return np.split(np.arange(len(self.tile)), ends)


def bilinear(length: int, shorter: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the two neighbours of each point [shorter, 2] and their weights.

    The same as torch's bilinear interpolation with align_corners=False, without antialiasing.
    """
    place = ((np.arange(shorter) + 0.5) * (length / shorter) - 0.5).clip(0)
    low = place.astype(np.int64)
    near = np.stack([low, np.minimum(low + 1, length - 1)], 1)
    part = place - low
    return near, np.stack([1 - part, np.where(near[:, 0] == near[:, 1], 0, part)], 1)
