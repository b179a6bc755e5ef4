"""What the caller of an analysis supplies from further runs: converted and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tokviz.errors import InputError

Maps = Callable[[int], Any]
"Decoder layer -> whole softmax map [h, q, q], numpy or torch."
Progress = Callable[[int, int], None]
"Called with the forwards done so far and the number of forwards in all."


def plain(array: Any) -> np.ndarray:
    """Return a numpy float32 array of a numpy or torch array."""
    if hasattr(array, "detach"):
        array = array.detach().float().cpu().numpy()
    return np.asarray(array, np.float32)


def whole_map(maps: Maps, layer: int, rows: int) -> np.ndarray:
    """Return one layer's softmax map [h, rows, rows].

    Raises:
        InputError: the map has another number of rows, for example those of a reduced run.
    """
    found = plain(maps(layer))
    if found.ndim != 3 or found.shape[1:] != (rows, rows):
        raise InputError(
            f"the map of layer {layer} must be [heads, {rows}, {rows}], got {found.shape}: it "
            "takes a run of prompt and answer with all tokens."
        )
    return found


def numbers(values: Any, count: int) -> np.ndarray:
    """Return the scores of a score function, float64 [count].

    Raises:
        InputError: there are more or fewer scores than `count`, or one is not finite.
    """
    scores = np.asarray(plain(values), np.float64).reshape(-1)
    if len(scores) != count or not np.isfinite(scores).all():
        raise InputError(f"score must return {count} finite numbers, got {scores[:4]}.")
    return scores
