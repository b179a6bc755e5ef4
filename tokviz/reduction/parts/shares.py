"""How a budget is shared among the frames or groups of a film."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ROUNDS = 60
"""Halvings of the interval in which a ratio is searched."""


def even_counts(room: np.ndarray, total: int) -> np.ndarray:
    """Return counts in proportion to `room`, int64, that add up to `total`.

    They are rounded down; the rest goes to the first parts that have room, one token each.

    Args:
        room: int [parts], the largest count of each part.
        total: 0 to the sum of `room`.
    """
    counts = room * total // max(int(room.sum()), 1)
    for part in np.flatnonzero(counts < room)[: total - int(counts.sum())]:
        counts[part] += 1
    return counts


def counts_by_ratio(counts_at: Callable[[float], np.ndarray], keep: int) -> np.ndarray:
    """Return the counts of the largest ratio whose sum is at most `keep`, filled up to it.

    Publications give a ratio and round in each part; here the ratio follows from the budget. Parts
    whose counts rise next fill up what rounding leaves. If even ratio 1 stays below the budget, its
    counts are returned.

    Args:
        counts_at: ratio 0 to 1 -> int64 counts of all parts, rising with the ratio.
        keep: the budget.
    """
    low, high = 0.0, 1.0
    if counts_at(high).sum() <= keep:
        return counts_at(high)
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if counts_at(middle).sum() <= keep else (low, middle)
    counts, more = counts_at(low), counts_at(high)
    for part in np.flatnonzero(more > counts):
        counts[part] += min(more[part] - counts[part], keep - counts.sum())
    return counts
