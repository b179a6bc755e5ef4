"""Gradio's own scripts and styles, kept in memory once they were asked for.

A page is about eighty of them. Gradio (6.31) looks for each on the disk in threads, several times,
compresses it anew for every visitor and does not say how long a browser may keep it: 3 to 4 ms of
processor time each, 0.3 s in all before the first overlay is drawn; from here it is half of that,
and nothing at a browser's second visit. No setting changes it, and a laptop has no proxy.

Their names have a hash of their content in them, so a file never changes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import brotli
from anyio import to_thread
from gradio.routes import BUILD_PATH_LIB
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Send

PREFIX = "/assets/"
LARGEST = 2**18
"""Bytes of a file that is kept; ten of nine hundred are larger."""
HEADERS = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}


@dataclass(frozen=True)
class KeptFile:
    """One file."""

    plain: bytes
    packed: bytes
    "Compressed with brotli."
    kind: str
    "Its media type."

    def answer(self, accepted: bytes) -> Response:
        """Return it as a browser reads it that accepts these encodings."""
        if b"br" in accepted:
            return Response(self.packed, 200, {**HEADERS, "content-encoding": "br"}, self.kind)
        return Response(self.plain, 200, HEADERS, self.kind)


class FrontendFiles:
    """The middleware."""

    def __init__(self, app: ASGIApp, folder: str | Path = BUILD_PATH_LIB) -> None:
        self.app, self.folder = app, Path(folder)
        with os.scandir(self.folder) as entries:
            self.names = {one.name for one in entries if one.stat().st_size <= LARGEST}
        self.kept: dict[str, KeptFile] = {}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request for one of the files; pass any other on."""
        name = str(scope.get("path", "")).removeprefix(PREFIX)
        asked = scope["type"] == "http" and scope["method"] == "GET"
        if not asked or name not in self.names or scope["path"] != PREFIX + name:
            await self.app(scope, receive, send)
            return
        if name not in self.kept:
            self.kept[name] = await to_thread.run_sync(partial(self.read, name))
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"")
        await self.kept[name].answer(accepted)(scope, receive, send)

    def read(self, name: str) -> KeptFile:
        """Return a file of the folder."""
        plain = (self.folder / name).read_bytes()
        kind = guess_type(name)[0] or "text/plain"
        return KeptFile(plain, brotli.compress(plain, quality=4), kind)
