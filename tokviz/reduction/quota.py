"""QuoTA: how many tokens does each frame deserve for this question?"""

from __future__ import annotations

import math

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.parts.frames import by_place
from tokviz.reduction.parts.rows import Rows
from tokviz.torch_on_use import torch

SCALE, POWER = 100.0, 2
"""A frame's weight is (100 x its score) squared; the scale cancels out in the shares."""


@method(
    "quota",
    title="QuoTA",
    place="before",
    kind="merge",
    needs=("asked_yes", "crops"),
    optional=("tile", "cell", "index"),
    images="together",
    tiles="own",
    several_images=True,
    paper="https://arxiv.org/abs/2503.08689",
    year=2025,
    code="MAC-AutoML/QuoTA",
    licence="none stated",
    query_aware=True,
    adaptive=True,
    differs=(
        "the model that answers scores the frames itself, where the authors ask Qwen2-VL-2B",
        "the question is asked of each frame as it is, where the authors first let the model name "
        "the objects that it is about",
        "tokens are resized as the language model would get them, where the authors resize those "
        "before LLaVA-Video's pooling",
    ),
)
def quota(signals, keep: int) -> Reduction:
    """Give each frame or tile tokens by how much it helps with the question, by resizing its grid.

    The model is shown each frame alone and asked whether it is enough to answer the question, "A.
    yes" or "B. no". The share of a frame is the square of the probability of A. Its grid is resized
    by bilinear interpolation to the largest square, or square with one more row or column, that its
    share allows; a frame whose share is below one token is left out. A share above a frame's own
    tokens enlarges its grid, as in the official code.

    Shares are rounded down, so that a run keeps somewhat fewer tokens than the budget. Of frames
    from which an earlier step removed tokens, the ones that are left are interpolated.
    """
    layout, table = CropLayout.of(signals), by_place(signals)
    score = signals["asked_yes"].cpu()
    own = [row[row >= 0] for row in table]
    weights = [(float(score[tokens[0]]) * SCALE) ** POWER if len(tokens) else 0.0 for tokens in own]
    total, rows = sum(weights), Rows()
    for crop, row, weight in zip(layout.crops, table, weights, strict=True):
        count = int(keep * (weight / total)) if total else 0
        if count:
            resize(rows, row[: crop.size], (crop.rows, crop.cols), resized(count))
    if not rows.places:  # no frame's share is one token
        rows.copies(own[int(np.argmax(weights))][:1])
    return rows.reduction(len(score), score=score)


def resized(count: int) -> tuple[int, int]:
    """Return the rows and columns of the new grid of a frame with `count` tokens."""
    side = math.isqrt(count)
    return (side + 1, side) if (side + 1) * side <= count else (side, side)


def resize(rows: Rows, tokens: np.ndarray, grid: tuple[int, int], to: tuple[int, int]) -> None:
    """Add the rows of a bilinear interpolation, corners not aligned, without smoothing.

    Args:
        rows: gets the rows.
        tokens: int [places], the token at each place of the frame; -1 = gone.
        grid: rows and columns of the frame.
        to: rows and columns of the new grid.
    """
    down, across = (along(length, new) for length, new in zip(grid, to, strict=True))
    for row in down:
        for col in across:
            places = (np.flatnonzero(row)[:, None] * grid[1] + np.flatnonzero(col)).ravel()
            weights = np.outer(row[row > 0], col[col > 0]).ravel()
            there = tokens[places] >= 0
            if there.any():
                cols, weights = tokens[places][there], weights[there] / weights[there].sum()
                rows.add(cols, weights, cols[weights.argmax()])


def along(length: int, new: int) -> np.ndarray:
    """Return the shares of the old places in each new one along an axis, [new, length]."""
    each = torch.eye(length)[None]  # [1, length, length]: one channel per old place
    return torch.nn.functional.interpolate(each, size=new, mode="linear")[0].T.numpy()
