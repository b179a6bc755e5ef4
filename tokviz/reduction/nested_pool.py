"""Nested pooling (Matryoshka M3): the image on a coarser grid."""

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.spatial import grid_of, rows_cols


@method(
    "nested_pool",
    title="Nested pooling (M3)",
    training_free=False,
    place="before",
    kind="merge",
    needs=("grid",),
    tiles="each",
    paper="https://arxiv.org/abs/2405.17430",
    year=2024,
    differs=("the model was not trained on coarser grids",),
    code="mu-cai/matryoshka-mm",
    licence="Apache-2.0",
    adaptive=True,
)
def nested_pool(signals, keep: int) -> Reduction:
    """Average blocks of the grid; the budget sets the size of a block.

    M3's scales of 576 tokens are 144, 36, 9 and 1 (blocks of side 2, 4, 8 and 24). Other budgets
    use the smallest square block that satisfies them, made longer on one side if it does not divide
    the grid. Rows and columns that do not fill a block are dropped. M3 trains the model on all
    scales; without that training, answers are worse.
    """
    (rows, cols), notes = grid_of(signals)
    sides = range(1, max(rows, cols) + 1)
    blocks = ((max(rows // side, 1), max(cols // side, 1)) for side in sides)
    down, across = next(count for count in blocks if count[0] * count[1] <= keep)
    high, wide = rows // down, cols // across
    row, col = rows_cols((rows, cols))
    inside = np.flatnonzero((row < down * high) & (col < across * wide))
    block = row[inside] // high * across + col[inside] // wide
    top, left = np.divmod(np.arange(down * across), across)
    middle = (top * high + (high - 1) // 2) * cols + left * wide + (wide - 1) // 2
    weight = np.full(len(inside), 1 / (high * wide))
    return Reduction.from_entries(
        block, inside, weight, signals.n, down * across, middle, notes=notes
    )
