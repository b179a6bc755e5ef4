"""Picking a layer or a head by number."""

from tokviz.errors import InputError


def check_index(what: str, index: int, count: int) -> int:
    """Return an index that may count from the end as one from 0.

    Raises:
        InputError: there is no such layer or head.
    """
    if not -count <= index < count:
        raise InputError(f"{what} must be 0 to {count - 1}, got {index}.")
    return index % count
