"""Limits of the values in a trace's header, and functions that check them.

Every number of a header is checked here before memory or time is used for it. Each function takes
the value and its name in words, and raises TraceError with one sentence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tokviz.errors import TraceError

MAX_TEXT = 200_000
MAX_NAME = 500
"""Characters of names: methods, places, roles, timings."""
MAX_COUNT = 2**53
"""Largest whole number that every JSON reader represents exactly."""
MAX_IMAGES = 64
MAX_SIDE = 1_000_000
MAX_AREA = 1_000_000_000
"""Pixels of an original image."""
MAX_REACH = 10
"""A tile may extend beyond its image by this many times the longer side (padding: under one)."""
MAX_TILES = 4_096
MAX_TOKENS = 100_000
"""Visual tokens."""
MAX_LAYERS = 1_024
"""Of layers and of heads."""
MAX_STAGES = 256
MAX_STAGE_CELLS = 4_000_000
"""Stages x visual tokens: the state of every token is drawn for each stage."""
MAX_ENTRIES = 2_000_000
"""Entries of one stage's matrix, and multiplications to join it with the stages before."""
MAX_PRODUCTS = 8_000_000
"""Such multiplications of all stages together."""
MAX_CELLS = 4_000_000
"""(Answer tokens + the user's own words) x visual tokens, for which maps are computed."""
MAX_EXPLAINED = 6_000
"""Answer tokens + the user's own words, for maps that explain words by other words."""
MAX_SECONDS = 1e9
MAX_LISTED = 100_000
"""Items of lists without another limit."""


def whole(value: Any, what: str, low: int, high: int) -> int:
    """Return a whole number from low to high; booleans and texts are refused."""
    if type(value) is not int or not low <= value <= high:
        raise TraceError(f"{what} must be a whole number from {low:,} to {high:,}.")
    return value


def real(value: Any, what: str, low: float, high: float) -> float:
    """Return a finite number from low to high; booleans and texts are refused."""
    if type(value) not in (int, float) or not low <= value <= high:
        raise TraceError(f"{what} must be a number from {low:,g} to {high:,g}.")
    number = float(value)
    if not math.isfinite(number):
        raise TraceError(f"{what} must be a finite number.")
    return number


def text(value: Any, what: str, most: int = MAX_NAME) -> str:
    """Return a text of at most `most` characters."""
    if not isinstance(value, str) or len(value) > most:
        raise TraceError(f"{what} must be a text of at most {most:,} characters.")
    return value


def listed(value: Any, what: str, most: int = MAX_LISTED) -> Sequence[Any]:
    """Return a list of at most `most` items."""
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise TraceError(f"{what} must be a list of at most {most:,} items.")
    return value


def row(value: Any, what: str, length: int) -> Sequence[Any]:
    """Return a list of exactly `length` items."""
    if len(listed(value, what)) != length:
        raise TraceError(f"{what} must have {length} items, got {len(value)}.")
    return value


def mapping(value: Any, what: str, most: int = MAX_LISTED) -> Mapping[str, Any]:
    """Return an object of at most `most` names."""
    if not isinstance(value, Mapping) or len(value) > most:
        raise TraceError(f"{what} must be an object of at most {most:,} names.")
    return value


def identifier(value: Any, what: str) -> str:
    """Return a name that can be the name of an option in Python code, and nothing else."""
    name = text(value, what, 80)
    if not (name.isidentifier() and name.isascii()):
        raise TraceError(f"{what} must be a name of letters, digits and _, got {name[:40]!r}.")
    return name
