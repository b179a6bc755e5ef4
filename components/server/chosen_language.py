"""Puts two scripts into the page that have to run before Gradio's own.

The first gives out the language that a visitor chose: Gradio (6.31) shows its labels in the
browser's language, which it reads before it adds the page's own head; so a script in that head
comes too late. The second draws the first example while Gradio's scripts are still being loaded.
"""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Send

from ..i18n import language_script
from ..widgets.early import early_html

HEAD = b"<head>"
APP = b"<gradio-app"
PAGE = b"window.gradio_config"
"""What Gradio's page holds, and no other HTML that is served here."""


class ChosenLanguage:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.script = f"<script>{language_script()}</script>".encode()
        self.early = early_html().encode()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the scripts to its answer where that is the page."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        held: Message | None = None

        async def sending(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and is_html(message):
                held = message  # its length changes with the body
                return
            if held and message["type"] == "http.response.body":
                start, held = held, None
                start, message = self.with_script(start, message)
                await send(start)
            await send(message)

        await self.app(scope, receive, sending)

    def with_script(self, start: Message, body: Message) -> tuple[Message, Message]:
        """Return both messages of an answer, with the scripts where they are the whole page."""
        html = body.get("body", b"")
        if body.get("more_body") or PAGE not in html or HEAD not in html:
            return start, body
        html = html.replace(HEAD, HEAD + self.script, 1).replace(APP, self.early + APP, 1)
        others = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        length = (b"content-length", str(len(html)).encode())
        return {**start, "headers": [*others, length]}, {**body, "body": html}


def is_html(start: Message) -> bool:
    """Return whether an answer's headers say that it is HTML."""
    return dict(start.get("headers", [])).get(b"content-type", b"").startswith(b"text/html")
