"""How much may the header of a trace claim? Bounds, and readers that refuse what lies outside.

Every number of a header is read here, before memory or time is spent on it. Each reader takes the
value and what it is, and raises TraceError with one sentence.
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
"""Largest whole number; every reader of JSON has it exactly."""
MAX_IMAGES = 64
MAX_SIDE = 1_000_000
MAX_AREA = 1_000_000_000
"""Pixels of an original image."""
MAX_REACH = 10
"""A tile may reach so many longer sides beyond its image (padding reaches less than one)."""
MAX_TILES = 4_096
MAX_TOKENS = 100_000
"""Visual tokens."""
MAX_LAYERS = 1_024
"""Layers, heads."""
MAX_STAGES = 256
MAX_STAGE_CELLS = 4_000_000
"""Stages x visual tokens: what became of each token is drawn for every stage."""
MAX_ENTRIES = 2_000_000
"""Entries of one stage's matrix, and products that putting it behind the others takes."""
MAX_PRODUCTS = 8_000_000
"""Such products of all stages together."""
MAX_CELLS = 4_000_000
"""(Answer tokens + the user's own words) x visual tokens, of which maps are made."""
MAX_EXPLAINED = 6_000
"""Answer tokens + the user's own words, where words are explained by other words."""
MAX_SECONDS = 1e9
MAX_LISTED = 100_000
"""Items of lists that nothing else bounds."""


def whole(value: Any, what: str, low: int, high: int) -> int:
    """Return a whole number from low to high; booleans and texts are none."""
    if type(value) is not int or not low <= value <= high:
        raise TraceError(f"{what} must be a whole number from {low:,} to {high:,}.")
    return value


def real(value: Any, what: str, low: float, high: float) -> float:
    """Return a finite number from low to high; booleans and texts are none."""
    if type(value) not in (int, float) or not low <= value <= high:
        raise TraceError(f"{what} must be a number from {low:,g} to {high:,g}.")
    number = float(value)
    if not math.isfinite(number):
        raise TraceError(f"{what} must be a finite number.")
    return number


def text(value: Any, what: str, most: int = MAX_NAME) -> str:
    """Return a text of at most so many characters."""
    if not isinstance(value, str) or len(value) > most:
        raise TraceError(f"{what} must be a text of at most {most:,} characters.")
    return value


def listed(value: Any, what: str, most: int = MAX_LISTED) -> Sequence[Any]:
    """Return a list of at most so many items."""
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise TraceError(f"{what} must be a list of at most {most:,} items.")
    return value


def row(value: Any, what: str, length: int) -> Sequence[Any]:
    """Return a list of exactly so many items."""
    if len(listed(value, what)) != length:
        raise TraceError(f"{what} must have {length} items, got {len(value)}.")
    return value


def mapping(value: Any, what: str, most: int = MAX_LISTED) -> Mapping[str, Any]:
    """Return an object of at most so many names."""
    if not isinstance(value, Mapping) or len(value) > most:
        raise TraceError(f"{what} must be an object of at most {most:,} names.")
    return value


def identifier(value: Any, what: str) -> str:
    """Return a name that Python takes as the name of an option, and as nothing else."""
    name = text(value, what, 80)
    if not (name.isidentifier() and name.isascii()):
        raise TraceError(f"{what} must be a name of letters, digits and _, got {name[:40]!r}.")
    return name
