"""The tokens of a decision as frames of a film: which token of the frame before is at its place."""

from __future__ import annotations

import numpy as np

from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.signals import Signals


def frames_of(signals: Signals) -> np.ndarray:
    """Return the number of each token's frame, int64 [n]; several crops count as frames."""
    return CropLayout.of(signals).tile


def before(signals: Signals) -> np.ndarray:
    """Return the token at the same place in the frame before, int64 [n]; -1 where none is.

    None is in the first frame, or where an earlier step removed it, or where frames differ in size.
    """
    layout = CropLayout.of(signals)
    known = {
        (int(frame), int(cell)): token
        for token, (frame, cell) in enumerate(zip(layout.tile, layout.cell, strict=True))
    }
    pairs = zip(layout.tile.tolist(), layout.cell.tolist(), strict=True)
    same = [
        known.get((frame - 1, cell), -1) if _alike(layout, frame) else -1 for frame, cell in pairs
    ]
    return np.array(same, np.int64)


def _alike(layout: CropLayout, frame: int) -> bool:
    """Return whether a frame and the one before have the same grid."""
    if frame == 0:
        return False
    one, other = layout.crops[frame], layout.crops[frame - 1]
    return (one.rows, one.cols) == (other.rows, other.cols)
