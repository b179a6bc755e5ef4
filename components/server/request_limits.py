"""What a stranger may send to the server, before any of Gradio sees it.

An ASGI middleware. It limits how much, how often and how slowly an address may send, closes the
routes by which Gradio fetches addresses for its visitors or serves its own developers, and sets the
headers that keep a page from talking to any other host. Whoever runs behind a proxy gives the
proxy's word for the address with `trust_proxy`; otherwise the X-Forwarded-For header is a
stranger's claim and not read. What comes before a request's headers is for
`components.server.connections`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from .connections import ConnectionCounter, visitor
from .fair_queue import VISITOR
from .hosts import Hosts, name_of
from .sign_in import may_enter

log = logging.getLogger(__name__)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

BODILESS = ("GET", "HEAD", "OPTIONS")
FETCHES = re.compile(r"/(?:gradio_api/)?(?:file=\s*[a-z][a-z0-9+.-]*:|proxy=)", re.I)
"""Paths by which Gradio would fetch an address (also a redirecting one) for a visitor."""
CLOSED = re.compile(
    r"[^=]*/(?:process_recording|deep_link|dev/reload|(?:undo-)?vibe-[a-z-]+|monitoring|profiling)"
    r"(?:/|$)",
    re.I,
)
"""Gradio's tools for whoever builds a page. One of them gives a stranger's video to ffmpeg, which
follows addresses and paths inside of it; one holds a connection that works twenty times a second.
"""
DRAWN = re.compile(r"/(?:$|config|theme\.css|gradio_api/(?:info|openapi))", re.I)
"""Pages that are made anew for each request, of a megabyte and more; the others are files."""
STREAM_ROUTES = re.compile(
    r"/(?:gradio_api/)?(?:queue/data|call/|heartbeat/|upload_progress|stream/|mcp)", re.I
)
"""A request for an unknown stream makes Gradio log a traceback, so requests for these count."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when a file cannot be written for lack of room."""
MAX_UPLOADS = 10
"""So many of the largest uploads one address may send in a minute."""
OWN_TURNS = "/gradio_api/mcp"
"""These requests wait for others that they make to us, so they must not hold those up."""
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
        b"style-src 'self' 'unsafe-inline'; font-src 'self' data:; worker-src 'self' blob:; "
        b"script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; connect-src 'self' data: blob:; "
        b"object-src 'none'; base-uri 'self'; form-action 'self'",
    ),
]
"""Gradio's page needs inline scripts and eval; what counts is that nothing leaves for elsewhere."""


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


FULL_DISK = (
    "The server has no room for this file at the moment. Try a smaller file, or again in a minute."
)


class Refused(Exception):  # noqa: N818 - a signal inside this file
    """A request that is not served."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Meter:
    """Counts requests per address in whole minutes; remembers a bounded number of addresses."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.clock = most, clock
        self.minute = -1
        self.counts: OrderedDict[str, int] = OrderedDict()

    def allows(self, address: str, count: int = 1) -> bool:
        """Count a request, or bytes; return whether they are within the limit."""
        minute = int(self.clock() // 60)
        if minute != self.minute or len(self.counts) > 100_000:
            self.minute, self.counts = minute, OrderedDict()
        self.counts[address] = self.counts.get(address, 0) + count
        return self.counts[address] <= self.most


class Visit:
    """One request on its way: has an answer begun, was it refused?

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

    def end_turn(self) -> None:
        """Let the address's next request be worked on."""
        if self._turn is not None:
            self._turn.release()
            self._turn = None

    async def send(self, message: Message) -> None:
        """Pass the application's answer on, unless the request was refused before it began."""
        if self.begun or self.refused is None:
            await self.headed(message)

    async def headed(self, message: Message) -> None:
        """Send a message with our headers."""
        if message["type"] == "http.response.start":
            self.begun = True
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        await self._send(message)


class RequestLimits:
    """The middleware."""

    def __init__(self, app: App, limits: Limits | None = None) -> None:
        self.app, self.limits = app, limits or Limits()
        self.meter, self.logins = Meter(self.limits.requests), Meter(self.limits.logins)
        self.pages = Meter(max(1, self.limits.requests // 2))
        self.uploads = Meter(MAX_UPLOADS * self.limits.upload_bytes)
        self.open = ConnectionCounter(self.limits.open_requests, most=10**9)
        self.turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request, or say why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit, address = Visit(send), self.address(scope)
        enters, scope[VISITOR] = self.open.enter(address), address
        try:
            self.check(scope, address, enters)
            if scope["method"] in BODILESS and DRAWN.match(scope["path"]):
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
            visit.end_turn()
        if visit.refused and not visit.begun:
            await refuse(visit.refused, visit.headed)

    def check(self, scope: Any, address: str, enters: bool = True) -> None:
        """Raise Refused for a request that is refused by its first lines alone."""
        if not enters:
            raise Refused(503, "Too many requests of this address are open: close some tabs.")
        if scope["path"] != "/healthz":  # asked for by whatever watches the server, under any name
            self.check_host(scope)
        if FETCHES.search(scope["path"]):
            raise Refused(404, "Addresses are not fetched here.")
        if CLOSED.match(scope["path"]) or b"deep_link=" in scope.get("query_string", b""):
            raise Refused(404, "There is no such thing here.")
        self.count(scope, address)
        if not may_enter(scope):
            raise Refused(401, "Sign in first.")
        self.check_length(scope)

    def count(self, scope: Any, address: str) -> None:
        """Raise Refused for one request too many of those that cost work."""
        bodiless = scope["method"] in BODILESS
        drawn, path = bodiless and DRAWN.match(scope["path"]), scope["path"].rstrip("/")
        if bodiless and not drawn and not STREAM_ROUTES.match(path):
            return
        meter = self.pages if drawn else self.meter
        guess = path.endswith("/login")
        if not meter.allows(address) or (guess and not self.logins.allows(address)):
            raise Refused(429, "Too many requests from this address: wait a minute.")

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

    def check_length(self, scope: Any) -> None:
        """Raise Refused for a body that says itself that it is too long."""
        length = header(scope, b"content-length")
        if length.isdigit() and int(length) > self.most(scope):
            raise self.too_long(scope)

    def measured(self, scope: Any, receive: Receive, visit: Visit) -> Receive:
        """Return a receive that gives up on bodies which are too long or come too slowly."""
        got, over = 0, scope["method"] in BODILESS
        clock = asyncio.get_running_loop().time
        began = clock()

        async def receiving() -> Message:
            nonlocal got, over
            if over:
                return await receive()
            left = began + self.limits.patience + got / self.limits.least_bytes - clock()
            try:
                message = await asyncio.wait_for(receive(), min(left, self.limits.patience))
            except TimeoutError:
                visit.refused = Refused(408, "The request came too slowly.")
                raise visit.refused from None
            part = len(message.get("body", b""))
            got += part
            over = not message.get("more_body", False)
            if got > self.most(scope):
                visit.refused = self.too_long(scope)
                raise visit.refused
            if is_upload(scope) and not self.uploads.allows(self.address(scope), part):
                visit.refused = Refused(
                    429, "Too much was uploaded from this address: wait a minute."
                )
                raise visit.refused
            if over and not scope["path"].startswith(OWN_TURNS):
                await visit.take_turn(self.turn_of(self.address(scope)))
            return message

        return receiving

    def turn_of(self, address: str) -> asyncio.Semaphore:
        """Return what the requests of an address take turns by."""
        turn = self.turns.get(address)
        if turn is None:
            turn = self.turns[address] = asyncio.Semaphore(self.limits.at_once)
        return turn

    def too_long(self, scope: Any) -> Refused:
        """Return the refusal of a body that is too long."""
        return Refused(413, f"At most {self.most(scope):,} bytes are accepted here.")

    def most(self, scope: Any) -> int:
        """Return the largest body in bytes that a path takes."""
        return self.limits.upload_bytes if is_upload(scope) else self.limits.body_bytes

    def address(self, scope: Any) -> str:
        """Return whose request it is, as far as requests are counted."""
        forwarded = last_hop(scope) if self.limits.trust_proxy else ""
        client = scope.get("client") or ("", 0)
        return visitor(forwarded or str(client[0]))


def is_upload(scope: Any) -> bool:
    """Return whether a request brings a file."""
    return str(scope["path"]).rstrip("/").endswith("/upload")


def headers_of(scope: Any, name: bytes) -> list[str]:
    """Return a header's values, one for each line that has it."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def header(scope: Any, name: bytes) -> str:
    """Return a header's value, "" where it is missing."""
    return next(iter(headers_of(scope, name)), "")


def last_hop(scope: Any) -> str:
    """Return the address that the nearest proxy wrote into X-Forwarded-For; "" without one.

    Several lines count as one, and a proxy writes at the end: what stands before is a claim.
    """
    hop = ",".join(headers_of(scope, b"x-forwarded-for")).rpartition(",")[2].strip()[:60]
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop  # some write a port as well


async def refuse(refused: Refused, send: Send) -> None:
    """Answer with a sentence."""
    body = refused.text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
