"""Collects the rows of W one after another, for methods that merge over frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from tokviz.matrix import Reduction


class Rows:
    """Rows of W, each a weighted sum of tokens with a place of its own."""

    def __init__(self) -> None:
        """Begin without rows."""
        self.cols: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []
        self.places: list[int] = []

    def add(self, cols: np.ndarray, weights: np.ndarray, place: int) -> None:
        """Add a row.

        Args:
            cols: int [k], its tokens.
            weights: [k].
            place: the token whose place it takes.
        """
        self.cols.append(np.asarray(cols))
        self.weights.append(np.asarray(weights, np.float64))
        self.places.append(int(place))

    def copies(self, tokens: np.ndarray) -> None:
        """Add tokens unchanged, one row each."""
        for token in tokens:
            self.add(np.array([token]), np.ones(1), token)

    def reduction(self, n: int, **provenance: Any) -> Reduction:
        """Return the reduction of n tokens, its rows in raster order of their places."""
        order = np.argsort(self.places, kind="stable")
        lengths = [len(self.cols[row]) for row in order]
        return Reduction.from_entries(
            np.repeat(np.arange(len(order)), lengths),
            np.concatenate([self.cols[row] for row in order]),
            np.concatenate([self.weights[row] for row in order]),
            n,
            len(order),
            np.array(self.places)[order],
            **provenance,
        )
