"""Centre prior: how far does "photographers put things in the middle" go?"""

import torch

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.selection import top_k
from tokviz.reduction.spatial import grid_of, rows_cols


@method("centre", title="Centre prior", place="before", needs=("grid",))
def centre(signals, keep: int) -> Reduction:
    """Keep the tokens nearest to the middle of the grid, a baseline that never looks.

    Distance is Euclidean, in tokens.
    """
    grid, notes = grid_of(signals)
    row, col = rows_cols(grid)
    middle = (grid[0] - 1) / 2, (grid[1] - 1) / 2
    score = -torch.tensor((row - middle[0]) ** 2 + (col - middle[1]) ** 2).sqrt()
    order = top_k(score, keep)
    return Reduction.select(order, signals.n, score=score, order=order, notes=notes)
