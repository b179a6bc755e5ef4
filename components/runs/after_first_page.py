"""Work that can wait until the first visitor sees the page, such as importing torch."""

import threading
from collections.abc import Callable

NOBODY_S = 10.0
"""Seconds until the work begins where nobody opens the page."""
DRAWING_S = 2.0
"""Seconds that a browser gets to draw the page, undisturbed, once it has asked for all of it."""


class AfterFirstPage:
    """One thread that begins when the first page was opened in a browser, or nobody came."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._thread: threading.Thread | None = None

    def opened(self) -> None:
        """Say that a browser has the page and is drawing it."""
        self._opened.set()

    def start(self, work: Callable[[], None], stopping: threading.Event) -> None:
        """Do some work later, unless the server stops before it begins."""

        def waiting() -> None:
            self._opened.wait(NOBODY_S)
            if not stopping.wait(DRAWING_S):
                work()

        self._thread = threading.Thread(target=waiting, name="tokviz-after-page", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when the work is done; at once where there is none."""
        if self._thread is not None:
            self._thread.join()
