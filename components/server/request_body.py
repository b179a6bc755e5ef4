"""How long may the body of a request be, and how slowly may it come?

Starlette and uvicorn have no limit for either. nginx limits the length and waits for each next
part, but not for the whole: a byte every ten seconds keeps a connection for hours (tried with
1.22). So both limits stay here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Message, Receive

from .refusal import Refused
from .request_counts import BODILESS
from .visitors import headers_of


def is_upload(scope: Any) -> bool:
    """Return whether a request brings a file."""
    return str(scope["path"]).rstrip("/").endswith("/upload")


def too_long(most: int) -> Refused:
    """Return the refusal of a body that is too long."""
    return Refused(413, f"At most {most:,} bytes are accepted here.")


def check_length(scope: Any, most: int) -> None:
    """Raise Refused for a body that says itself that it is too long."""
    length = next(iter(headers_of(scope, b"content-length")), "")
    if length.isdigit() and int(length) > most:
        raise too_long(most)


class Body:
    """The body of one request, given up once it is too long or comes too slowly."""

    def __init__(self, scope: Any, receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most
        self._clock = asyncio.get_running_loop().time
        self._began, self._got = self._clock(), 0
        self.over = scope["method"] in BODILESS
        "All of it has come."

    async def part(self, patience: float, least_bytes: float) -> Message:
        """Return the next part.

        Args:
            patience: seconds to wait for it, and for a body of no bytes.
            least_bytes: bytes per second; so much longer may the whole body take.

        Raises:
            Refused: it did not come in time, or there was too much of it.
        """
        left = self._began + patience + self._got / least_bytes - self._clock()
        try:
            message = await asyncio.wait_for(self._receive(), min(left, patience))
        except TimeoutError:
            raise Refused(408, "The request came too slowly.") from None
        self._got += len(message.get("body", b""))
        self.over = not message.get("more_body", False)
        if self._got > self._most:
            raise too_long(self._most)
        return message
