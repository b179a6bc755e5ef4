"""Ends a pass through a model between two of its layers, when somebody has said stop.

Every layer of tower and decoder asks for its attention through `attention.attention_forward`, which
looks here first: a stop acts within one layer, however long the prompt or the picture is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tokviz.errors import InputError

NOT_BEGUN = "the run was stopped before the model had begun to answer."
_stop: ContextVar[threading.Event | None] = ContextVar("tokviz_stop", default=None)


class Interrupted(InputError):
    """A pass was ended by its stop flag."""


@contextmanager
def interrupted_by(stop: threading.Event | None) -> Iterator[None]:
    """End passes of this thread with Interrupted once `stop` is set; None never ends one.

    Open and close it within one call of a generator: a ContextVar does not outlive a `yield`.
    """
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def check_stop() -> None:
    """Raise Interrupted if the flag of this thread is set."""
    stop = _stop.get()
    if stop is not None and stop.is_set():
        raise Interrupted(NOT_BEGUN)
