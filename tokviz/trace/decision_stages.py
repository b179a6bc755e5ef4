"""One stage of imported decisions -> Reduction: every number is checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction

MAX_ENTRIES = 2_000_000


def over_alive(whole: Reduction, alive: np.ndarray, where: str) -> Reduction:
    """Return a reduction of all n tokens as one of the tokens that are left.

    Args:
        whole: its columns and positions are numbers in the whole image.
        alive: numbers in the whole image of the tokens left by earlier stages, ascending.
        where: the stage, for the message.
    """
    # number in the whole image -> number among the tokens that are left, -1 = removed
    place = np.full(whole.n, -1, np.int64)
    place[alive] = np.arange(len(alive))
    if (place[whole.cols] < 0).any() or (place[whole.position] < 0).any():
        gone = int(whole.cols[place[whole.cols] < 0][0]) if (place[whole.cols] < 0).any() else -1
        raise InputError(f"{where} uses token {gone}, which an earlier stage removed.")
    return Reduction.from_entries(
        whole.rows, place[whole.cols], whole.weights, len(alive), whole.m, place[whole.position]
    )


def kept_tokens(entry: Mapping[str, Any], n: int, where: str) -> Reduction:
    """Return the reduction of `kept`, the numbers of the tokens that stay."""
    kept = indices(entry["kept"], n, f"{where}: kept")
    if len(np.unique(kept)) != len(kept) or not len(kept):
        raise InputError(f"{where}: kept must name at least one token, and each only once.")
    return Reduction.select(kept, n)


def lists_of_tokens(entry: Mapping[str, Any], n: int, where: str) -> Reduction:
    """Return the reduction of `groups`, one list of tokens per output token."""
    listed = entry["groups"]
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not 1 <= len(listed) <= n:
        raise InputError(f"{where}: groups must be a list of 1 to {n} lists of tokens.")
    groups = [indices(group, n, f"{where}: a group") for group in listed]
    if not all(len(group) for group in groups) or sum(map(len, groups)) > MAX_ENTRIES:
        raise InputError(f"{where}: a group is empty, or there are far too many entries.")
    return Reduction.from_groups(groups, n)


def group_of_each_token(entry: Mapping[str, Any], n: int, where: str) -> Reduction:
    """Return the reduction of `group` [n], the group of each token, -1 = pruned."""
    group = numbers(entry["group"], f"{where}: group", integer=True)
    if group.shape != (n,) or group.min() < -1 or group.max() >= n:
        raise InputError(f"{where}: group must be {n} numbers, -1 (pruned) to {n - 1}.")
    names = np.unique(group[group >= 0])
    if not len(names):
        raise InputError(f"{where}: no token is in a group.")
    return Reduction.from_groups([np.flatnonzero(group == name) for name in names], n)


def entries_of_matrix(entry: Mapping[str, Any], n: int, where: str) -> Reduction:
    """Return the reduction whose matrix has the entries (rows, cols, weights) of the file."""
    position = indices(entry.get("position"), n, f"{where}: position")
    rows = indices(entry["rows"], len(position), f"{where}: rows")
    cols = indices(entry.get("cols"), n, f"{where}: cols")
    weights = numbers(entry.get("weights"), f"{where}: weights").astype(np.float32)
    if not 1 <= len(position) <= n or not len(rows) == len(cols) == len(weights):
        raise InputError(f"{where}: rows, cols and weights must be equally long, position 1 to n.")
    if not np.isfinite(weights).all() or len(np.unique(rows * n + cols)) != len(rows):
        raise InputError(f"{where}: weights must be finite, and each (row, col) come once.")
    return Reduction.from_entries(rows, cols, weights, n, len(position), position)


def indices(values: Any, below: int, where: str) -> np.ndarray:
    """Return whole numbers from 0 to below - 1, int64 [any]."""
    found = numbers(values, where, integer=True)
    if found.size and (found.min() < 0 or found.max() >= below):
        raise InputError(f"{where} must be numbers 0 to {below - 1}.")
    return found


def numbers(values: Any, where: str, integer: bool = False) -> np.ndarray:
    """Return a flat array of numbers, int64 if they must be whole."""
    if not isinstance(values, (list, np.ndarray)) or len(values) > MAX_ENTRIES:
        raise InputError(f"{where} must be a list of at most {MAX_ENTRIES:,} numbers.")
    array = np.asarray(values) if len(values) else np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in ("iu" if integer else "iuf"):
        kind = "whole numbers" if integer else "numbers"
        raise InputError(f"{where} must be a flat list of {kind}.")
    return array.astype(np.int64) if integer else array


def whole_number(value: Any, name: str, low: int, high: int) -> int:
    """Return a whole number from low to high; raise InputError with its name."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputError(f"{name} must be a whole number from {low} to {high:,}.")
    if not low <= value <= high:
        given = str(value) if abs(int(value)) < 10**16 else "a far larger one"
        raise InputError(f"{name} must be a whole number from {low} to {high:,}, got {given}.")
    return int(value)


WAYS = {
    "kept": kept_tokens,
    "groups": lists_of_tokens,
    "group": group_of_each_token,
    "rows": entries_of_matrix,
}
"""Name of a field -> the function that reads a stage with it; a stage has exactly one of them."""
