"""The local outlier factor of plain numbers: which values have few others near them?"""

from __future__ import annotations

import numpy as np

LIMIT = 1.5
"""A factor above it is an outlier (the "auto" contamination of scikit-learn)."""


def outlier_factors(values: np.ndarray, neighbours: int) -> np.ndarray:
    """Return the local outlier factor [n] of each value among its nearest neighbours.

    1 = as many values near it as its neighbours have, larger = fewer. Equal to scikit-learn's.

    Args:
        values: [n] numbers.
        neighbours: how many, clipped to n - 1.
    """
    n = len(values)
    k = min(neighbours, n - 1)
    if k < 1:
        return np.ones(n)
    by_value = np.argsort(values, kind="stable")
    ordered = np.asarray(values, np.float64)[by_value]
    window = np.arange(n)[:, None] + np.arange(-k, k + 1)
    outside = (window < 0) | (window >= n) | (window == np.arange(n)[:, None])
    window = window.clip(0, n - 1)
    distance = np.where(outside, np.inf, np.abs(ordered[window] - ordered[:, None]))
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :k]
    near = np.take_along_axis(window, nearest, 1)
    distance = np.take_along_axis(distance, nearest, 1)
    reach = np.maximum(distance, distance[near, -1])
    density = 1 / (reach.mean(1) + 1e-10)
    factor = np.empty(n)
    factor[by_value] = density[near].mean(1) / density
    return factor


def count_outliers(values: np.ndarray, neighbours: int) -> int:
    """Return how many values have a factor above 1.5; low outliers count too."""
    return int((outlier_factors(values, neighbours) > LIMIT).sum())
