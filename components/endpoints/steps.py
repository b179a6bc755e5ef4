"""Steps of a run, taken in threads while the server goes on, and ended when nobody waits."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

from anyio import CancelScope
from anyio.to_thread import run_sync


class Steps:
    """A generator whose steps are taken in threads, never two at a time."""

    def __init__(self, steps: Iterator[Any]) -> None:
        self._steps, self._lock = steps, threading.Lock()

    def take(self) -> Any:
        """Return the next step's result; None when there is no further step."""
        with self._lock:
            return next(self._steps, None)

    def close(self) -> None:
        """End the generator, after the step that is being taken."""
        with self._lock:
            self._steps.close()  # type: ignore[attr-defined]


async def in_threads(steps: Iterator[Any], stop: Callable[[], Any]) -> AsyncGenerator[Any, None]:
    """Yield the results of a generator.

    Gradio cancels the task of an event that somebody cancels or leaves; a step in a thread does not
    notice that. So `stop` is called, and the generator is closed before the event is over: only
    then the next one may have the model.

    Args:
        steps: a generator; its results are not None.
        stop: makes the step that is being taken end soon.
    """
    taken, ended = Steps(steps), False
    try:
        while (result := await run_sync(taken.take)) is not None:
            yield result
        ended = True
    finally:
        if not ended:
            stop()
        with CancelScope(shield=True):
            await run_sync(taken.close)
