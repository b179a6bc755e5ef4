"""Ctrl-C in work that has something to show when it is ended early."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended (128 + SIGINT)."""
PIPE_CLOSED = 141
"""The same of one whose reader went away (128 + SIGPIPE)."""


@contextmanager
def until_interrupted() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C sets; the second one leaves at once.

    In another thread than the main one signals do not arrive, and the event stays as it is; so it
    does where the shell lets a program ignore Ctrl-C (nohup, a job in the background).
    """
    stop = threading.Event()
    elsewhere = threading.current_thread() is not threading.main_thread()
    if elsewhere or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield stop
        return

    def end(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        sys.stderr.write("\ntokviz: stopping; what was found so far follows.\n")

    before = signal.signal(signal.SIGINT, end)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def status_of(stop: threading.Event) -> int:
    """Return the exit status of a command that an event may have ended."""
    return INTERRUPTED if stop.is_set() else 0
