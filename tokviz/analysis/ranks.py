"""How alike are two orders of the same tokens?"""

from __future__ import annotations

import numpy as np


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, from 0; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    # equal values have ranks last - count .. last - 1, whose mean is last - (count + 1) / 2
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[inverse]


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Return the linear correlation of two vectors; NaN when one of them is constant."""
    a, b = (np.asarray(x, np.float64) - np.mean(x, dtype=np.float64) for x in (a, b))
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else float("nan")


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Return the rank correlation of two vectors; NaN when one of them is constant."""
    return pearson(average_ranks(a), average_ranks(b))


def kendall(a: np.ndarray, b: np.ndarray) -> float:
    """Return Kendall's tau-b of two vectors; NaN when one of them is constant."""
    # the sign of every pair's difference, [n, n] -> [n (n - 1) / 2]; 0 where a pair is tied
    upper = np.triu_indices(len(a), 1)
    first, second = (np.sign(np.subtract.outer(x, x))[upper] for x in (a, b))
    norm = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / norm) if norm > 0 else float("nan")


def top_k(values: np.ndarray, k: int) -> np.ndarray:
    """Return the k largest values' indices, best first; of equal values the lower index."""
    return np.argsort(-np.asarray(values), kind="stable")[:k]


def top_k_jaccard(a: np.ndarray, b: np.ndarray, k: int) -> float:
    """Return the overlap of the k largest of both: size of the intersection over the union."""
    first, second = set(top_k(a, k).tolist()), set(top_k(b, k).tolist())
    return len(first & second) / max(len(first | second), 1)
