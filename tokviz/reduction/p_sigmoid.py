"""P-Sigmoid: a sigmoid curve sets the number of visual tokens in each layer."""

import math
from typing import Annotated

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k


def ratios(slope: float, middle: float, layers: int) -> np.ndarray:
    """Return the share of visual tokens in every layer [l]: 1 / (1 + exp(-slope (l - middle)))."""
    return 1 / (1 + np.exp(-slope * (np.arange(layers) - middle)))


def middle_for_mean(slope: float, mean: float, layers: int) -> float:
    """Return the middle of the curve whose mean over the layers is a budget, by bisection.

    Args:
        slope: negative, so that the share falls with depth.
        mean: mean share, between 0 and 1.
        layers: layers of the language model.
    """
    if not 0 < mean < 1 or slope >= 0:
        raise InputError(f"the mean must lie between 0 and 1 and the slope be negative: {mean}.")
    reach = 50 / -slope
    low, high = -reach, layers + reach
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if ratios(slope, middle, layers).mean() < mean else (low, middle)
    return (low + high) / 2


def _schedule(n: int, keep: int, layers: int, **options):
    slope = options["slope"] * 32 / layers
    schedules.clamped(1, layers)
    if keep == n:
        return schedules.stages([(1, n)], n)
    last = layers - 1
    middle = last + math.log(n / keep - 1) / slope if keep < n else last
    counts = [max(math.floor(share * n + 1e-9), keep) for share in ratios(slope, middle, layers)]
    counts[last] = keep
    return schedules.stages([(layer, counts[layer]) for layer in range(1, layers)], n)


@method(
    "p_sigmoid",
    title="P-Sigmoid",
    place="language_model",
    needs=("llm_attn_last",),
    paper="https://arxiv.org/abs/2412.00556",
    year=2024,
    query_aware=True,
    verified=False,
    schedule=_schedule,
)
def p_sigmoid(
    signals, keep: int, *, slope: Annotated[float, Range(-4, -0.02, 0.01)] = -0.25
) -> Reduction:
    """Remove some tokens before every layer, along a falling sigmoid, by the previous attention.

    `keep` is the count in the last layer, which fixes the curve once its slope is chosen; the
    published budget is the mean over the layers (`middle_for_mean` in this module), and the slope
    is found by a search. The slope is given for 32 layers and scaled to the depth.

    A stand-in: the rows that give the score are known from secondary sources only; here it is the
    last prompt row, as in FastV. The search of the same paper (G-Search) is not included.
    """
    score = signals["llm_attn_last"].mean(0)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
