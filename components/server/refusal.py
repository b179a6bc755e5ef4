"""A request that is not served: its status, and the one sentence that says why."""

from starlette.types import Send


class Refused(Exception):  # noqa: N818 - a signal between the limits, not a fault
    """Ends the work on a request."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


async def refuse(refused: Refused, send: Send) -> None:
    """Answer with the sentence."""
    body = refused.text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
