"""Ctrl-C in work that has something to show when it is ended early."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tokviz.errors import TokvizError

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended (128 + SIGINT)."""
PIPE_CLOSED = 141
"""The same of one whose reader went away (128 + SIGPIPE)."""


FOUND, NOTHING = "; what was found so far follows.\n", ".\n"
"""The two ends of the sentence that begins with "tokviz: stopped"."""


class InterruptionTold(KeyboardInterrupt):
    """Ctrl-C of which the user has been told already."""


@contextmanager
def until_interrupted(found: bool = False) -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C sets; the second one leaves at once.

    Args:
        found: there is something to show, even if this work finds nothing.

    Raises:
        InterruptionTold: the work was ended before it had found anything.

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
        sys.stderr.write("\ntokviz: stopped")
        sys.stderr.flush()

    before = signal.signal(signal.SIGINT, end)
    try:
        yield stop
    except (TokvizError, KeyboardInterrupt) as error:
        if not stop.is_set():
            raise
        sys.stderr.write(FOUND if found else NOTHING)
        raise InterruptionTold from error
    finally:
        signal.signal(signal.SIGINT, before)
    if stop.is_set():
        sys.stderr.write(FOUND)


@contextmanager
def left_out_if_interrupted() -> Iterator[threading.Event]:
    """Give an event that is set after a Ctrl-C in the block, which is left; what follows is done.

    For work that has no result of its own until it is over, after work that has one.
    """
    stop = threading.Event()
    try:
        yield stop
    except KeyboardInterrupt:
        stop.set()
        sys.stderr.write(f"\ntokviz: stopped{FOUND}")


def status_of(stop: threading.Event) -> int:
    """Return the exit status of a command that an event may have ended."""
    return INTERRUPTED if stop.is_set() else 0
