"""Random choice: the baseline that every method should beat."""

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method


@method("random", title="Random", place="before", needs=(), optional=("feats_post", "index"))
def random(signals, keep: int, *, seed: Annotated[int, Range(0, 2**32 - 1)] = 0) -> Reduction:
    """Keep a random set of tokens, every set equally likely. The same seed gives the same set."""
    order = np.random.default_rng(seed).permutation(signals.n)[:keep]
    return Reduction.select(order, signals.n, order=order)
