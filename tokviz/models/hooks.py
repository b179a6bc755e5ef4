"""Hooks on a model's modules that are always taken off again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def hooked(*hooks: Any) -> Iterator[None]:
    """Keep hook handles for the length of a block, then take every one of them off."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
