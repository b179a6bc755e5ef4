"""Which sentence does a person see when something goes wrong?"""

import logging

from tokviz.errors import TokvizError

log = logging.getLogger(__name__)

OURS = "Something went wrong on our side and was written to the log. Nothing is lost: try again."


def sentence(error: Exception) -> str:
    """Return a text that may be shown; anything but a TokvizError is logged with its traceback."""
    if isinstance(error, TokvizError):
        text = str(error)
        return text[:1].upper() + text[1:]
    log.error("a request failed", exc_info=error)
    return OURS
