"""The endpoints as tools of MCP clients.

Gradio (6.31) makes tools of all endpoints by itself, but its tools call the server once more over
HTTP, so that all clients count as one visitor; they fetch pictures from addresses, and what a
client sent wrong comes back in the error and goes to the log. So the calls are answered here: an
argument is checked before anything else is done, a question joins the queue as its sender's, and
whatever goes wrong is an MCP error with a sentence.
"""

from __future__ import annotations

import json
import secrets
from asyncio import wait_for
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from anyio import CancelScope
from anyio.to_thread import run_sync
from gradio.data_classes import PredictBodyInternal
from starlette.requests import Request

from tokviz import ANALYSES, METHODS
from tokviz.errors import InputError
from tokviz.names import did_you_mean

from ..error_text import error_text
from ..runs.pictures import MAX_PICTURES
from ..site import Site
from ..widgets.file_inputs import is_quiet
from .arguments import check_arguments
from .sent_picture import FORM, MAX_CHARACTERS, as_upload, picture_bytes

STREAMED = "answer_stream"
"""An endpoint that is no tool: a tool has one result."""
PLACE, JOIN = "/gradio_api/mcp", "/gradio_api/queue/join"
LOOK_AGAIN_S = 5.0
"""Seconds of silence after which a call looks whether the queue still has it."""
NAMES: dict[str, Mapping[str, Any]] = {"methods": METHODS, "analyses": ANALYSES}
IMAGE = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS, "contentEncoding": "base64"}


class Tools:
    """Answers the calls of one server's tools."""

    def __init__(self, server: Any, site: Site) -> None:
        """Take the calls over.

        Args:
            server: Gradio's MCP server of a launched page.
            site: whose models are offered; a personal page may get further ones.
        """
        self.server, self.types, self.site = server, server.types, site
        self.endpoints = {
            name: place for name, place in server.tool_to_endpoint.items() if STREAMED not in place
        }
        self.whole_schema = server.get_input_schema
        server.tool_to_endpoint = self.endpoints
        server.get_input_schema = self.input_schema
        handlers = server.mcp_server.request_handlers
        handlers[self.types.CallToolRequest] = self.call
        for request in (self.types.GetPromptRequest, self.types.ReadResourceRequest):
            handlers.pop(request, None)  # there are none, and Gradio's error repeats the name

    def input_schema(self, tool: str, parameters: Any = None) -> tuple[dict[str, Any], list[Any]]:
        """Return what a tool accepts; Gradio's list of the places of files is empty."""
        schema = self.whole_schema(tool, parameters)[0]
        endpoint = self.endpoints[tool].lstrip("/")
        for name, one in schema["properties"].items():
            if name == "image":
                one.clear()
                one.update(IMAGE, description=FORM)
            elif name == "more":
                said = one.get("description", "")
                one.clear()
                one.update(
                    {"type": "array", "items": IMAGE, "maxItems": MAX_PICTURES - 1},
                    description=f"{said} Each as `image`.".strip(),
                )
            elif name == "model":
                one["enum"] = ["", *self.site.models.names]
            elif name == "name" and endpoint in NAMES:
                one["enum"] = ["", *NAMES[endpoint]]
        return {**schema, "additionalProperties": False}, []

    async def call(self, request: Any) -> Any:
        """Answer one call; whatever goes wrong is a result with `isError` and a sentence."""
        try:
            found = await self.run(request.params.name, request.params.arguments or {})
            text, wrong = json.dumps(found, ensure_ascii=False), is_error(found)
            if wrong:
                text = found["error"]
        except Exception as error:  # noqa: BLE001  the edge: logged, and shown as a sentence
            text, wrong = (str(error) if is_quiet(error) else error_text(error)), True
        content = [self.types.TextContent(type="text", text=text)]
        return self.types.ServerResult(self.types.CallToolResult(content=content, isError=wrong))

    async def run(self, tool: str, given: Mapping[str, Any]) -> Any:
        """Return what a tool finds.

        Raises:
            InputError: no such tool, or arguments that do not fit; nothing was run for them.
        """
        if tool not in self.endpoints:
            guess = did_you_mean(tool, self.endpoints)
            raise InputError(f"there is no tool of this name.{guess} Known: "
                             f"{', '.join(self.endpoints)}.")  # fmt: skip
        check_arguments(tool, self.input_schema(tool)[0], given)
        endpoint = self.server.get_block_fn_from_endpoint_name(self.endpoints[tool])
        if not endpoint.queue:
            return await run_sync(partial(endpoint.fn, **given))
        with ExitStack() as stack:
            values = dict(given)

            async def uploaded(text: str) -> dict[str, object]:
                return stack.enter_context(as_upload(await run_sync(picture_bytes, text)))

            if "image" in values:
                values["image"] = await uploaded(values["image"])
            if "more" in values:
                values["more"] = [await uploaded(text) for text in values["more"]]
            inputs = [values.get(str(block.label), block.value) for block in endpoint.inputs]
            return await self.queued(endpoint, inputs)

    async def queued(self, endpoint: Any, inputs: list[Any]) -> Any:
        """Let a call wait its turn among the visitors' questions; return what it found.

        It has a session of its own, and is ended when its client goes away.
        """
        context, session = self.server.mcp_server.request_context, secrets.token_hex(8)
        queue, request = self.server.blocks._queue, as_joining(context.request)
        body = PredictBodyInternal(
            data=inputs, fn_index=endpoint._id, session_hash=session, request=request
        )
        if queue.server_app is None:
            queue.set_server_app(self.server.blocks.app)
        pushed, text, _ = await queue.push(body, request, None)
        if not pushed:
            raise InputError(str(text))
        try:
            return await self.result(queue, session, context)
        finally:
            with CancelScope(shield=True):
                await queue.clean_events(session_hash=session)
            queue.forget(session)

    async def result(self, queue: Any, session: str, context: Any) -> Any:
        """Read what the queue says until a call is answered; report how long it will wait."""
        messages = queue.pending_messages_per_session[session]
        while True:
            try:
                message = await wait_for(messages.get(), LOOK_AGAIN_S)
            except TimeoutError:
                if not queue.holds(session) and messages.empty():
                    raise RuntimeError("the queue has dropped a call of a tool") from None
                continue
            if message.msg == "estimation":
                await self.report(context, place_of(message))
            elif message.msg == "process_starts":
                await self.report(context, "The model is answering.")
            elif message.msg == "process_completed":
                if not message.success:
                    return {"error": message.output["error"]}
                found = message.output["data"][0]
                return getattr(found, "root", found)  # Gradio's model of a JSON value

    async def report(self, context: Any, text: str) -> None:
        """Tell a client that asked for it how far its call has come."""
        token = context.meta.progressToken if context.meta is not None else None
        if token is not None:
            await context.session.send_progress_notification(
                token, 0.0, message=text, related_request_id=str(context.request_id)
            )


def place_of(message: Any) -> str:
    """Return what an estimation of the queue says: the place, and the time if one is known."""
    text = f"Question {message.rank + 1} in the queue"
    return text + ("." if message.rank_eta is None else f", at most {message.rank_eta:.0f} s.")


def as_joining(request: Request) -> Request:
    """Return a request as if it had joined the queue, whose path Gradio wants to see."""
    head, _, _ = request.scope["path"].partition(PLACE)
    path = f"{head}{JOIN}"
    return Request({**request.scope, "path": path, "raw_path": path.encode(), "query_string": b""})


def is_error(found: Any) -> bool:
    """Return whether a tool's result says that nothing was found out."""
    return isinstance(found, dict) and "error" in found


def answer_tool_calls(server: Any, site: Site) -> None:
    """Answer the calls of the tools of a launched page.

    Args:
        server: Gradio's MCP server; None = there is none.
        site: the page's.
    """
    if server is not None:
        Tools(server, site)
