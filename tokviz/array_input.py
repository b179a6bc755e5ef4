"""Arrays that come from outside: read as numpy arrays, or refused in one sentence.

Lists, numpy arrays and torch tensors are taken, and whatever numpy reads as one of these. Text,
ragged lists and arrays of objects are refused, and no number is rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tokviz.errors import InputError


def plain_array(values: Any, what: str) -> np.ndarray:
    """Return values as a numpy array of any shape and type, but not of objects.

    Args:
        values: an array, a torch tensor, a list, or a single number.
        what: its name in a message.

    Raises:
        InputError: anything else.
    """
    array = values if isinstance(values, np.ndarray) else _converted(values, what)
    if array.dtype.kind in "OV":
        raise InputError(f"{what} must be an array of numbers, got {_named(values)}.")
    return array


def _converted(values: Any, what: str) -> np.ndarray:
    if values is None or isinstance(values, (str, bytes, bytearray, memoryview)):
        raise InputError(f"{what} must be an array of numbers, got {_named(values)}.")
    if isinstance(values, tuple) and any(getattr(one, "ndim", 0) > 1 for one in values):
        raise InputError(
            f"{what} is a tuple of {len(values)} arrays, such as transformers gives with "
            "output_hidden_states=True, one per layer. Take one: value[layer][0] (batch 0)."
        )
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            values = (values.float() if "bfloat16" in str(values.dtype) else values).numpy()
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{what} must be an array of numbers, got {_named(values)} that cannot be read as one."
        ) from error


def token_numbers(values: Any, what: str) -> np.ndarray:
    """Return numbers of tokens as int64 [k]; whole numbers in a float type are taken.

    Raises:
        InputError: no array, a mask of truth values, or numbers that are not whole.
    """
    array = plain_array(values, what)
    if array.dtype.kind in "iu" or not array.size:
        return array.astype(np.int64).reshape(-1)
    if array.dtype.kind == "b":
        raise InputError(
            f"{what} must be numbers of tokens, got a mask of True and False. Give "
            "np.flatnonzero(mask)."
        )
    whole = array.dtype.kind == "f" and np.isfinite(array).all() and (array % 1 == 0).all()
    if not whole:
        raise InputError(f"{what} must be whole numbers of tokens, got {_some(array)}.")
    return array.astype(np.int64).reshape(-1)


def real_numbers(values: Any, what: str) -> np.ndarray:
    """Return numbers as float32 of any shape; NaN and infinite ones are taken.

    Raises:
        InputError: no array of real numbers.
    """
    array = plain_array(values, what)
    if array.dtype.kind not in "biuf" and array.size:
        raise InputError(f"{what} must be an array of real numbers, got {_some(array)}.")
    return array.astype(np.float32)


def _some(array: np.ndarray) -> str:
    """Return the first entries of an array, for a message."""
    return f"{array.reshape(-1)[:3].tolist()} ..."[:60]


def _named(values: Any) -> str:
    if values is None:
        return "None"
    shown = f" {values[:40]!r}" if isinstance(values, (str, bytes)) else ""
    return f"a {type(values).__name__}{shown}"
