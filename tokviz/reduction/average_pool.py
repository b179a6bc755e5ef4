"""Average pooling of the flat sequence (LLaVolta): the simplest merge."""

import numpy as np

from tokviz.matrix import Reduction
from tokviz.options import within
from tokviz.reduction.method import method


@method(
    "average_pool",
    title="Average pooling",
    training_free=False,
    place="before",
    kind="merge",
    positions="mean",
    needs=(),
    optional=("feats_post", "index"),
    paper="https://arxiv.org/abs/2406.20092",
    year=2024,
    differs=(
        "the model was not trained with it",
        "it pools before the language model, where the publication pools inside it",
    ),
    code="Beckschen/LLaVolta",
    licence="Apache-2.0",
    adaptive=True,
)
def average_pool(signals, keep: int, *, stride: int | None = None) -> Reduction:
    """Average every `stride` tokens of the sequence into one.

    By default the stride is the smallest that meets the budget; a smaller one is refused. As in
    LLaVolta, windows run across the ends of grid rows and a last, shorter window is dropped, so
    fewer tokens than the budget may be left. LLaVolta pools inside the language model and averages
    positions too, rounded down: positions = mean, the default here. With keep a mean has the
    position of its window's middle token, which is the same where positions count one by one and
    another where they have rows and columns (M-RoPE); repack numbers the means without gaps.
    """
    n = signals.n
    smallest = next(s for s in range(1, n + 1) if n // s <= keep)
    if stride is None:
        stride = smallest
    within("stride", stride, smallest, n, f"{n} tokens are to become {keep} at most")
    m = n // stride
    cols = np.arange(m * stride)
    middle = np.arange(m) * stride + (stride - 1) // 2
    return Reduction.from_entries(
        cols // stride, cols, np.full(len(cols), 1 / stride), n, m, middle
    )
