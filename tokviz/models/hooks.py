"""Hooks on a model's modules that are always removed again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def hooked(*hooks: Any) -> Iterator[None]:
    """Remove the hooks with these handles at the end of the context."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
