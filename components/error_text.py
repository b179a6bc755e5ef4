"""The sentence that a person sees when something goes wrong."""

import logging

from tokviz.errors import TokvizError

log = logging.getLogger(__name__)

INTERNAL_ERROR = (
    "Something went wrong in this program; the server's log has the details. Nothing is lost: "
    "try again."
)


def error_text(error: Exception) -> str:
    """Return a text that may be shown; anything but a TokvizError is logged with its traceback."""
    if isinstance(error, TokvizError):
        text = str(error)
        return text[:1].upper() + text[1:]
    log.error("a request failed", exc_info=error)
    return INTERNAL_ERROR
