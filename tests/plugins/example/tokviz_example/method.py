"""Is what matters at the border of the picture?"""

from typing import Annotated

import torch

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.selection import top_k


@method("example_border", title="Border first", place="before", needs=("grid",))
def example_border(signals, keep: int, *, rows: Annotated[float, Range(0, 2)] = 1.0) -> Reduction:
    """Keep the tokens nearest to the border of the grid.

    `rows` weighs the distance from the top and the bottom; 0 counts the columns alone.
    """
    height, width = (int(v) for v in signals["grid"])
    row = torch.arange(height).repeat_interleave(width).float()
    col = torch.arange(width).repeat(height).float()
    score = rows * (row - (height - 1) / 2).abs() / height + (col - (width - 1) / 2).abs() / width
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
