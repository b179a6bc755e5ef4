"""Runs a method and checks its decision before it is used: a plugin may be faulty."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tokviz.errors import FaultyPlugin, InputError, TokvizError
from tokviz.interruption import Interrupted
from tokviz.matrix import Reduction
from tokviz.torch_on_use import torch

if TYPE_CHECKING:
    from tokviz.reduction.method import Method
    from tokviz.reduction.signals import Signals

log = logging.getLogger(__name__)
MAX_NOTES = 20_000
"""Characters of all notes of one decision, at most."""
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""Parts of PyTorch's messages about memory, which is no fault of a method."""


def decision(
    chosen: Method, signals: Signals, n: int, keep: int, options: Mapping[str, Any]
) -> Reduction:
    """Return what a method decides on n tokens.

    Raises:
        FaultyPlugin: it raised an error of its own, or its decision is invalid.
        InputError: one of tokviz's own methods failed on signals that do not fit together.
    """
    foreign = not str(getattr(chosen.decide, "__module__", "")).startswith("tokviz.")
    before = signals.sums() if foreign else None
    try:
        done = chosen.decide(signals, keep, **options)
    except TokvizError as error:
        if not foreign or isinstance(error, Interrupted):
            raise
        raise type(error)(f"the method {chosen.name!r}: {error}") from error
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        if any(sign in str(error) for sign in NO_MEMORY):
            raise
        log.info("the method %r failed", chosen.name, exc_info=True)
        said = (str(error).strip().splitlines() or [""])[0][:200].rstrip(".")
        what = f"it raised {type(error).__name__}" + (f" ({said})" if said else "")
        if not foreign:
            raise InputError(
                f"{chosen.title} cannot decide on these signals, {shapes(signals)}: {what[3:]}."
            ) from error
        raise faulty(chosen, what) from error
    if before is not None and signals.sums() != before:
        raise faulty(chosen, "it changes the signals that it is given; let it work on copies")
    return check_decision(chosen, done, n, keep)


def shapes(signals: Signals) -> str:
    """Return the names of signals with their shapes, for a message."""
    found = []
    for name, value in signals.items():
        one = next(iter(value.values()), None) if isinstance(value, Mapping) else value
        found.append(f"{name} {list(one.shape)}" if isinstance(one, torch.Tensor) else name)
    return ", ".join(found)[:200]


def faulty(chosen: Method, wrong: str) -> FaultyPlugin:
    """Return the error that names a method and what is wrong with it."""
    return FaultyPlugin(
        f"the method {chosen.name!r} is faulty: {wrong}. Tell its author, or choose another."
    )


def check_decision(chosen: Method, done: Any, n: int, keep: int) -> Reduction:
    """Return a method's decision; raise FaultyPlugin with the method's name if it is invalid.

    Without this check a plugin's mistake would appear much later, as a wrong picture or as another
    error.
    """
    wrong = what_is_wrong(done, n, keep, chosen)
    if wrong:
        raise faulty(chosen, wrong)
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
    if done.score is not None and (not hasattr(done.score, "dtype") or done.score.shape != (n,)):
        return f"score must be [{n}], got {_what(done.score)}"
    if not len(done.rows) == len(done.cols) == len(done.weights):
        return "rows, cols and weights must have the same length"
    inside = (done.rows, done.m), (done.cols, n), (done.position, n)
    if any(len(array) and not 0 <= array.min() <= array.max() < top for array, top in inside):
        return f"an entry is outside the [{done.m}, {n}] matrix"
    if not np.isfinite(done.weights).all():
        return "weights must be finite"
    return wrong_matrix(done, n, chosen.place) or wrong_provenance(done, n)


def wrong_matrix(done: Reduction, n: int, place: str) -> str:
    """Return what is wrong with entries that lie inside the matrix, "" if nothing.

    Before the language model a row without an entry is a zero vector, as HoloV's official code
    makes them; in tower and language model rows take the places of tokens, one each.
    """
    if not (done.weights > 0).all():
        return f"weights must be above 0, got {done.weights.min():g}"
    cells = done.rows * n + done.cols
    if not (np.diff(cells) > 0).all():
        return "entries must be in order of rows and columns, each cell once"
    if place == "before":
        return ""
    if len(np.unique(done.rows)) != done.m:
        return "every row needs an entry"
    return "" if len(np.unique(done.position)) == done.m else "two rows have the same position"


def wrong_provenance(done: Reduction, n: int) -> str:
    """Return what is wrong with score, order, roles and notes, "" if nothing."""
    score, order = done.score, done.order
    if score is not None and (score.dtype.kind != "f" or np.isinf(score).any()):
        return "score must be finite numbers, or NaN for tokens without one"
    if not isinstance(done.roles, Mapping) or not all(isinstance(name, str) for name in done.roles):
        return "roles must be a mapping of names to numbers of tokens"
    for name, tokens in {"order": order, **done.roles}.items():
        if tokens is not None and not _are_tokens(tokens, n):
            return f"{name} must be numbers of tokens, 0 to {n - 1}"
    good = isinstance(done.notes, (tuple, list)) and all(isinstance(n, str) for n in done.notes)
    if not good or sum(map(len, done.notes)) > MAX_NOTES:
        return f"notes must be a tuple of sentences, at most {MAX_NOTES:,} characters in all"
    return ""


def _are_tokens(tokens: Any, n: int) -> bool:
    array = np.asarray(tokens)
    if not array.size:
        return True
    return array.dtype.kind in "iu" and array.ndim == 1 and 0 <= array.min() <= array.max() < n


def _what(array: Any) -> str:
    """Return the shape of an array, or its type, in words."""
    kind = getattr(array, "dtype", type(array).__name__)
    return f"{kind} {list(np.shape(array))}"
