"""Centre prior: how good is the guess that the important things are in the middle?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.signals import Crop
from tokviz.torch_on_use import torch


@method(
    "centre",
    title="Centre prior",
    place="before",
    needs=("grid",),
    fallbacks={"grid": "cell"},
    optional=("crops", "tile", "cell"),
)
def centre(signals, keep: int) -> Reduction:
    """Keep the tokens nearest to the middle of the image, a baseline that ignores its content.

    Distance is Euclidean, in tokens. For an image cut into tiles it is measured on the grid of all
    tiles, also for the coarser thumbnail.
    """
    layout = CropLayout.of(signals)
    tiles = [layout.crops[i] for i in layout.tiles] or layout.crops
    thumbnail = layout.crops if layout.thumbnail is None else [layout.crops[layout.thumbnail]]
    whole = np.array([_shape(thumbnail), _shape(tiles)])
    canvas, row, col = layout.places()
    sides = whole[canvas]
    away = np.stack([row, col], 1) + 0.5 - sides / 2
    score = -torch.tensor((away * (whole[1] / sides)).astype(np.float64)).norm(dim=1)
    order = top_k(score, keep)
    return Reduction.select(order, signals.n, score=score, order=order)


def _shape(crops: Sequence[Crop]) -> tuple[int, int]:
    """Return rows and columns of the grid of all tiles."""
    return max(c.row0 + c.rows for c in crops), max(c.col0 + c.cols for c in crops)
