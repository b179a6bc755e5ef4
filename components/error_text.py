"""The sentence that a person sees when something goes wrong."""

import logging
import traceback
from typing import Any

from tokviz.errors import TokvizError

log = logging.getLogger(__name__)

INTERNAL_ERROR = (
    "Something went wrong in this program; the server's log has the details. Nothing is lost: "
    "try again."
)


def error_text(error: Exception) -> str:
    """Return a text that may be shown; where anything but a TokvizError happened is logged."""
    if isinstance(error, TokvizError):
        text = str(error)
        return text[:1].upper() + text[1:]
    log.error("a request failed:\n%s", where(error))
    return INTERNAL_ERROR


def where(error: BaseException) -> str:
    """Return the traceback of an error and of those before it, without their messages.

    A message may quote what a visitor asked, and no prompt is to be in a log.
    """
    parts: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        places = "".join(traceback.extract_tb(one.__traceback__).format())
        parts.append(f"{places}{type(one).__name__}")
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "\nbefore it:\n".join(parts)


class QuietFormatter(logging.Formatter):
    """Writes tracebacks without the messages of errors."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  a name of logging's
        """Return an error's traceback."""
        return where(ei[1]) if ei[1] is not None else ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what another formatter has kept of the traceback is made anew."""
        record.exc_text = None
        return super().format(record)
