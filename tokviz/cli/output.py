"""Where a command's output goes: lines of the log, and readers or disks that take no more."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import UnsupportedOperation

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Line(logging.Formatter):
    """A warning as one line; what failed is told in the sentence at the end."""

    def format(self, record: logging.LogRecord) -> str:
        """Leave the traceback out."""
        return f"tokviz: {record.getMessage()}"


@contextmanager
def log_on_stderr(debug: bool) -> Iterator[None]:
    """Show warnings on stderr, a line each; with `debug` everything, tracebacks included."""
    handler, log = logging.StreamHandler(), logging.getLogger("tokviz")
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s") if debug else Line())
    before = log.level
    log.addHandler(handler)
    if debug:
        log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def drop_stdout() -> None:
    """Send what is still to be written to stdout nowhere, so that Python's own exit is silent."""
    with suppress(OSError, ValueError, UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
