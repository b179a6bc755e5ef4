"""What a stranger may send to the server, before any of Gradio sees it.

An ASGI middleware: by which name a request asks, for which route, how often, how much, how slowly,
and how many of one address at a time. What comes before a request's headers is for
`components.server.connections`.

What pinned software does instead, tried: Starlette's TrustedHostMiddleware knows no addresses in
digits (see `hosts`); uvicorn's limit_concurrency counts all visitors together, so that one of them
shuts the others out; nginx (`deploy/nginx.conf`) counts per address, but refuses where a classroom
behind one address should wait its turn, and is not there in front of a laptop or the Docker image.
So these stay: turns per address, open requests per address, and the order of the checks.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from starlette.types import ASGIApp, Message, Receive, Send

from .connections import ConnectionCounter
from .hosts import Hosts, name_of
from .refusal import Refused, refuse
from .request_body import Body, check_length, is_upload
from .request_counts import Meter, RequestCounts, draws_page
from .routes_closed import why_closed
from .sign_in import may_enter
from .visitors import VISITOR, headers_of, visitor_of_request

log = logging.getLogger(__name__)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when a file cannot be written for lack of room."""
FULL_DISK = (
    "The server has no room for this file at the moment. Try a smaller file, or again in a minute."
)
MAX_UPLOADS = 10
"""So many of the largest uploads one address may send in a minute."""
OWN_TURNS = "/gradio_api/mcp"
"""These requests stay open while a question waits in the queue, so they must not hold up others."""


@dataclass(frozen=True)
class Limits:
    """How much one address may send."""

    body_bytes: int = 2 * 2**20
    "Largest body of a request that is no upload."
    upload_bytes: int = 21 * 2**20
    requests: int = 600
    "Requests that cost work and that one address may send in a minute; a classroom shares one."
    logins: int = 60
    "Passwords that one address may try in a minute."
    open_requests: int = 500
    "Requests of one address that may be open at the same time, streams of answers among them."
    at_once: int = 8
    "Requests of one address that are worked on at the same time, files and streams aside."
    patience: float = 30.0
    "Seconds to wait for the next part of a body, and for a body of no bytes."
    least_bytes: float = 4096.0
    "A body must come with so many bytes per second."
    trust_proxy: bool = False
    "Read a visitor's address from X-Forwarded-For, as the proxy in front of us wrote it."
    hosts: Hosts = Hosts()
    "The names that the server answers to."

    def most(self, scope: Any) -> int:
        """Return the largest body in bytes that a path takes."""
        return self.upload_bytes if is_upload(scope) else self.body_bytes


class Visit:
    """One request on its way: has an answer begun, was it refused, does it hold a turn?

    What reads a body turns our refusal into an answer of its own; that one is held back.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn: asyncio.Semaphore | None = None
        self.begun = False
        self.refused: Refused | None = None

    async def take_turn(self, turn: asyncio.Semaphore) -> None:
        """Wait until the address's earlier requests leave room for this one."""
        await turn.acquire()
        self._turn = turn

    async def send(self, message: Message) -> None:
        """Pass the application's answer on, unless the request was refused before it began."""
        if self.begun or self.refused is None:
            self.begun = True
            await self._send(message)

    async def end(self) -> None:
        """Let the address's next request be worked on; say why this one was refused, if it was."""
        if self._turn is not None:
            self._turn.release()
        if self.refused and not self.begun:
            await refuse(self.refused, self._send)


class RequestLimits:
    """The middleware."""

    def __init__(self, app: ASGIApp, limits: Limits | None = None) -> None:
        self.app, self.limits = app, limits or Limits()
        self.counts = RequestCounts(self.limits.requests, self.limits.logins)
        self.uploads = Meter(MAX_UPLOADS * self.limits.upload_bytes)
        self.open = ConnectionCounter(self.limits.open_requests, most=10**9)
        self.turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request, or say why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit, address = Visit(send), visitor_of_request(scope, self.limits.trust_proxy)
        enters, scope[VISITOR] = self.open.enter(address), address
        try:
            self.check(scope, address, enters)
            if draws_page(scope):
                await visit.take_turn(self.turn_of(address))
            await self.app(scope, self.measured(scope, receive, visit), visit.send)
        except Refused as refused:
            visit.refused = refused
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            log.warning("no room for an upload: %s", error.strerror)
            visit.refused = Refused(507, FULL_DISK)
        finally:
            self.open.leave(address)
            await visit.end()

    def check(self, scope: Any, address: str, enters: bool = True) -> None:
        """Raise Refused for a request that is refused by its first lines alone."""
        if not enters:
            raise Refused(503, "Too many requests of this address are open: close some tabs.")
        if scope["path"] != "/healthz":  # asked for by whatever watches the server, under any name
            self.check_host(scope)
        if closed := why_closed(scope):
            raise Refused(404, closed)
        if not self.counts.allow(scope, address):
            raise Refused(429, "Too many requests from this address: wait a minute.")
        if not may_enter(scope):
            raise Refused(401, "Sign in first.")
        check_length(scope, self.limits.most(scope))

    def check_host(self, scope: Any) -> None:
        """Raise Refused for a request to another name than the server's."""
        for host in headers_of(scope, b"host"):
            if not self.limits.hosts.allow(host):
                name = name_of(host)[:80]
                raise Refused(
                    421,
                    f"This server does not answer to the name {name!a}. Whoever runs it can list "
                    "the name in TOKVIZ_HOSTS.",
                )

    def measured(self, scope: Any, receive: Receive, visit: Visit) -> Receive:
        """Return a receive with the limits of a body; once it has come, the request has a turn."""
        body = Body(scope, receive, self.limits.most(scope))

        async def receiving() -> Message:
            if body.over:
                return await receive()
            try:
                message = await body.part(self.limits.patience, self.limits.least_bytes)
                self.count_upload(scope, len(message.get("body", b"")))
            except Refused as refused:
                visit.refused = refused
                raise
            if body.over and not scope["path"].startswith(OWN_TURNS):
                await visit.take_turn(self.turn_of(scope[VISITOR]))
            return message

        return receiving

    def count_upload(self, scope: Any, size: int) -> None:
        """Count the bytes of an upload; raise Refused for an address that sends too many."""
        if is_upload(scope) and not self.uploads.allows(scope[VISITOR], size):
            raise Refused(429, "Too much was uploaded from this address: wait a minute.")

    def turn_of(self, address: str) -> asyncio.Semaphore:
        """Return what the requests of an address take turns by."""
        turn = self.turns.get(address)
        if turn is None:
            turn = self.turns[address] = asyncio.Semaphore(self.limits.at_once)
        return turn
