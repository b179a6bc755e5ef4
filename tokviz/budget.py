"""The budget: how many visual tokens to keep, a count such as 64 or a share such as "25%"."""

from __future__ import annotations

import math
import operator
import re
from typing import Any

from tokviz.errors import InputError

COUNT, SHARE = r"[0-9]{1,9}", r"[0-9]{1,3}(\.[0-9]{1,3})? ?%"


def whole_number(value: Any) -> int | None:
    """Return a whole number given as int, float, text, numpy or torch scalar; else None.

    True and False are not numbers here, bytes and complex numbers neither, and 2.5 is not rounded.
    """
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value) else None
    if not _is_number(value):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        number = real_number(value)
    return int(number) if number is not None and number == math.floor(number) else None


def real_number(value: Any) -> float | None:
    """Return a finite number given as int, float, text, numpy or torch scalar; else None."""
    if not isinstance(value, str) and not _is_number(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return number if math.isfinite(number) else None


def _is_number(value: Any) -> bool:
    """Return True for what is a real number by its type.

    float() alone would read bytes, which are a buffer, and drop the imaginary part of a complex
    number of numpy.
    """
    if isinstance(value, bool):
        return False
    if hasattr(value, "dtype"):  # of numpy, torch, JAX: float32, torch.int64, bfloat16
        return re.fullmatch(r"(torch\.)?(u?int|float|bfloat)\w+", str(value.dtype)) is not None
    return hasattr(type(value), "__float__") or hasattr(type(value), "__index__")


def check_budget(budget: Any, name: str = "a budget") -> int | str:
    """Return a budget in its standard form, 64 or "25%"; `name` is its name in a message.

    Raises:
        InputError: neither a count above 0 nor a share above 0 % and up to 100 %.
    """
    text = str(budget).strip()
    if isinstance(budget, str) and re.fullmatch(SHARE, text) and 0 < float(text[:-1]) <= 100:
        return f"{float(text[:-1]):g}%"
    count = whole_number(budget)
    if count is not None and 1 <= count < 10**9:
        return count
    raise InputError(
        f"{name} must be a count such as 64 or a share such as 25%, got {text[:40]!r}."
    )


def tokens_of(budget: Any, n: int) -> int:
    """Return a budget as a count of n visual tokens; a share gives at least 1.

    Raises:
        InputError: not a budget, or more than n.
    """
    if isinstance(budget, str) and budget.strip().endswith("%"):
        return max(1, round(float(str(check_budget(budget))[:-1]) / 100 * n))
    count = whole_number(budget)
    if count is None or not 1 <= count <= n:
        raise InputError(f"keep must be 1 to {n} visual tokens, got {str(budget)[:40]}.")
    return count
