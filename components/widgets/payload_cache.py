"""A cache of payloads that never change (those of stored examples), as files for the browser.

A click on an example then sends the file's name instead of a megabyte of JSON, which the server
would have to write again for every visitor. The name is a hash of the content, so a file never
changes, and only somebody who was given the name can ask for it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

CACHE_HEADERS = {"cache-control": "private, max-age=31536000, immutable", "vary": "accept-encoding"}


class CachedPayload(dict[str, Any]):
    """A widget's value that is kept in a payload cache, perhaps with fields of its own on top."""

    def __init__(
        self, value: Mapping[str, Any], name: str, own: Mapping[str, Any], cache: PayloadCache
    ) -> None:
        super().__init__({**value, **own})
        self.name, self.own, self.cache = name, dict(own), cache

    def with_own(self, **own: Any) -> CachedPayload:
        """Return the same value with other fields on top."""
        return CachedPayload(self, self.name, self.own | own, self.cache)

    @property
    def sent(self) -> dict[str, Any]:
        """What the browser gets: a name, from which its script fetches the rest, or everything."""
        return {"stored": self.name, **self.own} if self.cache.served else self


class PayloadCache:
    """The files by name. Thread-safe."""

    def __init__(self) -> None:
        self.served = False
        "Whether the server has the route for the files; until then values are sent whole."
        self._lock = threading.Lock()
        self._files: dict[str, bytes] = {}

    def put(self, value: Mapping[str, Any]) -> CachedPayload:
        """Keep a value for as long as the server runs."""
        text = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        name = hashlib.sha256(text).hexdigest()[:32]
        with self._lock:
            known = name in self._files
        if not known:
            packed = gzip.compress(text, 6, mtime=0)
            with self._lock:
                self._files[name] = packed
        return CachedPayload(value, name, {}, self)

    def route(self) -> Route:
        """Return the route that serves the files; from now on names are sent."""
        self.served = True
        return Route("/stored/{name}", self.serve_file)

    async def serve_file(self, request: Request) -> Response:
        """Return one file."""
        packed = self._files.get(str(request.path_params["name"]))
        if packed is None:
            return PlainTextResponse("There is no such file.\n", 404)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers = CACHE_HEADERS | {"content-encoding": "gzip"}
            return Response(packed, headers=headers, media_type="application/json")
        return Response(
            gzip.decompress(packed), headers=CACHE_HEADERS, media_type="application/json"
        )


def as_sent(value: Any) -> Any:
    """Return what a widget's value is sent as."""
    return value.sent if isinstance(value, CachedPayload) else value
