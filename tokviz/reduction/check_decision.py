"""Checks of a method's decision before it is used: a plugin may be faulty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction

if TYPE_CHECKING:
    from tokviz.reduction.method import Method


def check_decision(chosen: Method, done: Any, n: int, keep: int) -> Reduction:
    """Return a method's decision; raise InputError with the method's name if it is invalid.

    Without this check a plugin's mistake would appear much later, as a wrong picture or as another
    error.
    """
    wrong = what_is_wrong(done, n, keep, chosen)
    if wrong:
        raise InputError(
            f"the method {chosen.name!r} is faulty: {wrong}. Tell its author, or choose another."
        )
    return done


def what_is_wrong(done: Any, n: int, keep: int, chosen: Method) -> str:
    """Return what is wrong with a decision on n tokens, "" if nothing."""
    if not isinstance(done, Reduction):
        return f"it must return a Reduction, got {type(done).__name__}"
    if done.n != n:
        return f"its decision is for {done.n} tokens, there are {n}"
    left = done.m + done.prefix_cls
    if done.heads is not None:
        counts = done.heads.counts
        if done.heads.fate.shape[-1] != n or len(set(counts.tolist())) != 1:
            return f"its key heads keep {sorted(set(counts.tolist()))} tokens, not one number"
        left = int(counts[0])
    adaptive = chosen.adaptive
    # a method with later stages may also keep everything for now
    waits = chosen.gradual or (adaptive and left == n)
    if (left > keep and not waits) or (left < keep and not adaptive):
        return f"it keeps {left} tokens, but {'at most ' * adaptive}{keep} were asked for"
    kinds = {"rows": "i", "cols": "i", "position": "i", "weights": "f"}
    for field, kind in kinds.items():
        array = getattr(done, field)
        if not isinstance(array, np.ndarray) or array.dtype.kind != kind or array.ndim != 1:
            return f"{field} must be a numpy array with one axis, got {_what(array)}"
    if done.weights.dtype != np.float32:
        return f"weights must be float32, got {done.weights.dtype}"
    if done.score is not None and np.shape(done.score) != (n,):
        return f"score must be [{n}], got {list(np.shape(done.score))}"
    if not len(done.rows) == len(done.cols) == len(done.weights):
        return "rows, cols and weights must have the same length"
    inside = (done.rows, done.m), (done.cols, n), (done.position, n)
    if any(len(array) and not 0 <= array.min() <= array.max() < top for array, top in inside):
        return f"an entry is outside the [{done.m}, {n}] matrix"
    return "" if np.isfinite(done.weights).all() else "weights must be finite"


def _what(array: Any) -> str:
    """Return the shape of an array, or its type, in words."""
    kind = getattr(array, "dtype", type(array).__name__)
    return f"{kind} {list(np.shape(array))}"
