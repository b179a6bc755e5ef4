"""What is written and said when a stranger's request makes one of Gradio's routes fail?

An unknown endpoint, a path with a zero byte or a stream that is none ends in an exception of
Gradio's, and uvicorn writes seventy lines of traceback for each: whoever sends many hides what
matters in the log. Here each is one line, which quotes nothing of the request, and a sentence. Of a
fault in our own code the log says where it happened.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Send

from ..error_text import INTERNAL_ERROR, where
from .refusal import Refused, refuse

log = logging.getLogger(__name__)
NOT_UNDERSTOOD = "This request cannot be understood: docs/api.md says what is accepted."
END = "event: error\ndata: {}\n\n"
OURS = ("components.", "tokviz.")
MIDDLEWARE = "components.server."
"""Every request passes through these; a route of ours stands below `components.` elsewhere."""


def is_ours(error: BaseException) -> bool:
    """Return whether an exception, or what caused it, came through code of ours."""
    seen: BaseException | None = error
    while seen is not None:
        trace = seen.__traceback__
        while trace is not None:
            name = str(trace.tb_frame.f_globals.get("__name__", ""))
            if name.startswith(OURS) and not name.startswith(MIDDLEWARE):
                return True
            trace = trace.tb_next
        seen = seen.__cause__
    return False


class OddRequests:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass a request on; where a route of Gradio's fails at it, say so in a line."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except (Refused, OSError):
            raise
        except Exception as error:  # noqa: BLE001  logged without its message
            if is_ours(error):
                log.error("a request failed:\n%s", where(error))
                if begun:
                    raise RuntimeError("an answer could not be ended") from None
                await refuse(Refused(500, INTERNAL_ERROR), send)
                return
            cause = error.__cause__ or error
            log.warning("a request was refused: %s at %s", type(cause).__name__, route_of(scope))
            if begun:  # a stream that is none: it ends as a whole answer, with the sentence
                text = json.dumps({"error": refusal_of(cause).text})
                await send({"type": "http.response.body", "body": END.format(text).encode()})
            else:
                await refuse(refusal_of(cause), send)


async def wrong_body(request: Request, error: Exception) -> Response:
    """Answer a request whose body has another form; FastAPI's own answer repeats the body."""
    return JSONResponse({"detail": NOT_UNDERSTOOD}, 422)


def route_of(scope: Any) -> str:
    """Return the pattern of a request's route, without what a stranger put into it."""
    return str(getattr(scope.get("route"), "path", "a route of Gradio's"))


def refusal_of(error: BaseException) -> Refused:
    """Return what is said about a request at which a route failed."""
    if isinstance(error, HTTPException):
        return Refused(error.status_code, "There is no such thing here.")
    if type(error).__name__ == "FnIndexInferError":
        return Refused(404, "There is no endpoint of this name: docs/api.md lists them.")
    return Refused(400, NOT_UNDERSTOOD)
