"""Hooks and settings of a model that are always removed and restored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def hooked(hooks: Iterable[Any]) -> Iterator[None]:
    """Remove the hooks with these handles at the end of the context.

    A generator installs them one by one, and whatever it raises removes those that are installed.
    """
    installed = []
    try:
        for hook in hooks:
            installed.append(hook)  # noqa: PERF402 - the generator may raise halfway
        yield
    finally:
        for hook in installed:
            hook.remove()


@contextmanager
def restored(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give an attribute another value for the length of a block, then its own again."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
