"""Work that reports how far it is: done in a thread, so that its reports can be yielded."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from ..runs.stops import Stop


@dataclass(frozen=True)
class Finished:
    """What the work has returned."""

    result: Any


def reported(
    work: Callable[[Callable[..., None]], Any], flag: Stop, name: str = "tokviz-work"
) -> Generator[Any]:
    """Do some work in a thread; yield what it reports, as tuples, then a `Finished`.

    Args:
        work: gets a function `report(*anything)`.
        flag: set when nobody listens any more, so that the work ends.
        name: of the thread.

    Raises:
        Exception: whatever the work raises.
    """
    heard: queue.Queue[Any] = queue.Queue()

    def report(*said: Any) -> None:
        heard.put(said)

    def do() -> None:
        try:
            heard.put(Finished(work(report)))
        except Exception as error:  # noqa: BLE001  handed to the thread that waits for it
            heard.put(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(do,), name=name, daemon=True)
    thread.start()
    try:
        while True:
            item = heard.get()
            if isinstance(item, Exception):
                raise item
            yield item
            if isinstance(item, Finished):
                return
    finally:
        flag.set()
        thread.join()
