"""Where a command's output goes: lines of the log, and readers or disks that take no more."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout, suppress
from io import UnsupportedOperation
from typing import Any

from tokviz.text.whole import json_text

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


def plugins_print_on_stderr() -> AbstractContextManager[Any]:
    """Keep what methods and models print out of the command's own output, which may be JSON."""
    return redirect_stdout(sys.stderr)


def open_closed_outputs() -> None:
    """Give a program that a shell started without stdout or stderr (`>&-`) one that goes nowhere.

    Python has None there: nothing could be flushed, and messages for stderr would go to stdout.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def write_any_letter() -> None:
    """Let stdout spell letters that a terminal or a pipe cannot take, in place of an error."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def print_json(value: Any, indent: int | None = None) -> None:
    """Print a value as JSON, which is right in any encoding of stdout."""
    encoding = str(getattr(sys.stdout, "encoding", None) or "utf-8")
    other = encoding.lower().replace("-", "").replace("_", "") not in ("utf8", "utf8sig")
    print(json_text(value, ascii_only=other, indent=indent))


def drop_stdout() -> None:
    """Send what is still to be written to stdout nowhere, so that Python's own exit is silent."""
    with suppress(OSError, ValueError, UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
