"""k-means by cosine, deterministic and without empty clusters."""

from __future__ import annotations

import numpy as np


def spherical_kmeans(x: np.ndarray, k: int, rounds: int = 20) -> np.ndarray:
    """Return the cluster [n] of each row of x [n, d], every cluster from 0 to k - 1 used.

    The first centres are evenly spaced rows. An empty cluster gets the row that fits its own
    cluster worst, among clusters of two or more rows.

    Args:
        x: [n, d].
        k: 0 to n; 0 needs n = 0.
        rounds: largest number of rounds of assigning and averaging.
    """
    label = np.zeros(len(x), np.int64)
    if not k:
        return label
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    centres = x[np.arange(k) * len(x) // k]
    for _ in range(rounds):
        fit = x @ centres.T
        new = filled(fit.argmax(1), fit, k)
        if (new == label).all():
            break
        label = new
        centres = np.zeros_like(centres)
        np.add.at(centres, label, x)
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return label


def filled(label: np.ndarray, fit: np.ndarray, k: int) -> np.ndarray:
    """Return the labels [n] after giving each empty cluster the worst-fitting row of a larger one.

    Args:
        label: int64 [n].
        fit: [n, k], higher = closer.
        k: clusters, at most n.
    """
    label, size = label.copy(), np.bincount(label, minlength=k)
    worst_first = np.argsort(fit[np.arange(len(label)), label], kind="stable")
    for empty in np.flatnonzero(size == 0):
        row = next(r for r in worst_first if size[label[r]] > 1)
        size[label[row]] -= 1
        size[empty] += 1
        label[row] = empty
    return label
