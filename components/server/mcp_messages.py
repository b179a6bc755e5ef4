"""Messages of MCP clients: one that cannot be understood is refused in a sentence.

The package `mcp` (1.30) answers a malformed message with the message, and writes it to the log.
So every message is read here first, by the same classes.
"""

from __future__ import annotations

import json
import logging
from importlib import import_module
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Send

log = logging.getLogger(__name__)
PLACE = "/gradio_api/mcp"
INVALID = -32600
"""JSON-RPC: an invalid request, or a method or parameters that there are not."""
WRONG = (
    "This message cannot be understood. It must be one JSON-RPC 2.0 message of the Model Context "
    "Protocol, such as tools/list, or tools/call with a name and arguments."
)


class McpMessages:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.types = app, import_module("mcp.types")  # an extra of Gradio's

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass a request on; read its message before, where it brings one."""
        if scope["type"] != "http" or scope["method"] != "POST" or PLACE not in scope["path"]:
            await self.app(scope, receive, send)
            return
        body = await whole_body(receive)
        if body is None:
            return
        try:
            self.check(json.loads(body))
        except (ValueError, RecursionError) as error:  # pydantic's errors are ValueErrors
            log.warning("a message of an MCP client was refused: %s", type(error).__name__)
            await refuse_message(send)
            return
        await self.app(scope, again(body, receive), send)

    def check(self, sent: Any) -> None:
        """Raise ValueError unless a message is one that the server understands."""
        message = self.types.JSONRPCMessage.model_validate(sent).root
        plain = message.model_dump(by_alias=True, mode="json", exclude_none=True)
        if isinstance(message, self.types.JSONRPCRequest):
            self.types.ClientRequest.model_validate(plain)
        elif isinstance(message, self.types.JSONRPCNotification):
            self.types.ClientNotification.model_validate(plain)
        else:
            raise ValueError("the server asks nothing, so there is nothing to answer")


async def whole_body(receive: Receive) -> bytes | None:
    """Return a request's body, whose length is bounded before; None when the client has gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def again(body: bytes, receive: Receive) -> Receive:
    """Return a receive that brings a body that was read already, and then what follows it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return messages.pop() if messages else await receive()

    return receiving


async def refuse_message(send: Send) -> None:
    """Answer with the sentence, as JSON-RPC has it; which request it was is not known."""
    error = {"code": INVALID, "message": WRONG}
    body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
