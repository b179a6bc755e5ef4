"""The places of tokens on the grid of their image."""

from __future__ import annotations

import numpy as np

from tokviz.errors import InputError
from tokviz.reduction.signals import Signals


def grid_of(signals: Signals) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Return (rows, cols) of the tokens, or one long row and a note if they form no grid."""
    n = signals.n or 0
    if "grid" in signals:
        lengths = [int(length) for length in signals["grid"]]
        if len(lengths) != 2 or min(lengths) < 1:
            raise InputError(f"grid must be (rows, cols), got {tuple(lengths)}.")
        rows, cols = lengths
        if rows * cols == n:
            return (rows, cols), ()
        return (1, n), (f"{n} tokens do not fill a {rows} x {cols} grid: taken as one row.",)
    return (1, n), ("No grid was given: the tokens were taken as one row.",)


def rows_cols(grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the column of every token of a grid, int64 [n] each."""
    rows, cols = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    return rows, cols
