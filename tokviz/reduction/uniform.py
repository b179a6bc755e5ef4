"""Uniform grid: an even sample of the image, a baseline that ignores its content."""

import math

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.spatial import grid_of


@method("uniform", title="Uniform grid", place="before", needs=(), optional=("grid", "index"))
def uniform(signals, keep: int) -> Reduction:
    """Keep tokens spread evenly over the grid.

    About sqrt(keep * rows / cols) rows are used; the budget is split evenly among them, and each
    row keeps the middles of equal sections. Tokens without a grid are one long row.
    """
    (rows, cols), notes = grid_of(signals)
    lines = round(math.sqrt(keep * rows / cols))
    lines = min(max(lines, math.ceil(keep / cols), 1), rows, keep)
    share = np.diff(np.arange(lines + 1) * keep // lines)
    kept = [
        row * cols + col
        for row, count in zip(middles(rows, lines), share, strict=True)
        for col in middles(cols, int(count))
    ]
    return Reduction.select(kept, signals.n, notes=notes)


def middles(length: int, parts: int) -> list[int]:
    """Return the middle cell of each of `parts` equal sections of `length` cells."""
    return [(2 * i + 1) * length // (2 * parts) for i in range(parts)]
