"""Who may hold a connection, how many, and for how long without sending or reading anything?

`RequestLimits` sees a request once its headers have come; what comes before that, and who never
reads an answer, is uvicorn's to deal with, which waits for both without end (tried with 0.54: a
silent connection, half a header and an unread answer all stay; limit_concurrency counts them for
all visitors together, so that twenty silent ones shut everybody out; timeout_keep_alive begins
after a first answer). nginx (`deploy/nginx.conf`) ends all three after a time, but counts per
address only those whose headers have come. Where a server stands on its address without a proxy,
as on a laptop or in the Docker image, this is all there is; so it stays.

The page's server gets a protocol of its own: that of uvicorn, which counts connections per address
and hangs up on whoever keeps it waiting. Gradio starts the server itself; `guard` is told of it
afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from uvicorn import Server
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .visitors import visitor

PATIENCE = 20.0
"""Seconds in which the headers of a request must have come, and an unread answer must be read."""
SHARES = 4
"""So many addresses can use up their connections before the server has none left."""
SPARE_FILES = 200
"""Files that the server opens besides connections: models, uploads, libraries."""
FULL = b"Too many connections are open here: close some, or try again in a minute."


@dataclass
class ConnectionCounter:
    """The connections that are open."""

    per_visitor: int = 500
    "Connections that one address may hold; a classroom often shares one."
    most: int = 2000
    "Connections that all may hold together."
    patience: float = PATIENCE
    "Seconds that a visitor may keep the server waiting."
    behind_proxy: bool = False
    "All connections come from the proxy, which counts its visitors itself."
    held: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> bool:
        """Count a connection; return whether it may stay. Each one that came must `leave`."""
        self.held[address] += 1
        alone = self.behind_proxy or self.held[address] <= self.per_visitor
        return alone and self.held.total() <= self.most

    def leave(self, address: str) -> None:
        """Count a connection no more."""
        self.held[address] -= 1
        if self.held[address] <= 0:
            del self.held[address]


class Alarm:
    """Calls a function once a visitor has kept the server waiting for too long."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, act: Callable[[], None]):
        self._loop, self._seconds, self._act = loop, seconds, act
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        """Whether it will ring."""
        return self._timer is not None

    def set(self) -> None:
        """Begin to wait, anew."""
        self.stop()
        self._timer = self._loop.call_later(self._seconds, self._act)

    def stop(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class LimitedConnection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """One connection: uvicorn's protocol, which is ended when it keeps the server waiting."""

    def __init__(self, counter: ConnectionCounter, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.counter, self.visitor = counter, ""
        self.alarm = Alarm(self.loop, counter.patience, self.hang_up)

    def hang_up(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def connection_made(self, transport: Any) -> None:
        """Take a connection in, or tell whoever opened it that there are too many."""
        super().connection_made(transport)
        self.visitor = visitor(str((self.client or ("",))[0]))
        if self.counter.enter(self.visitor):
            self.alarm.set()
        else:
            transport.write(refusal())
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection no more."""
        self.counter.leave(self.visitor)
        self.alarm.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a request's headers, from their first byte on."""
        super().data_received(data)
        if self.flow.write_paused:  # an answer is not being read: that alarm goes on
            return
        if self.is_answering():
            self.alarm.stop()
        elif not self.alarm.is_set and self.timeout_keep_alive_task is None:
            self.alarm.set()

    def is_answering(self) -> bool:
        """Return whether a request has come that is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def pause_writing(self) -> None:
        """Wait for the visitor to read on."""
        super().pause_writing()
        self.alarm.set()

    def resume_writing(self) -> None:
        """The visitor has read on."""
        super().resume_writing()
        self.alarm.stop()

    def on_response_complete(self) -> None:
        """Wait for the visitor to read the end of the last answer."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.alarm.set()

    def timeout_keep_alive_handler(self) -> None:
        """Wait for the visitor to read what is left, once uvicorn has closed the connection."""
        super().timeout_keep_alive_handler()
        self.alarm.set()


def refusal() -> bytes:
    """Return what somebody reads who may not stay."""
    head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n"
    head += f"content-length: {len(FULL)}\r\nretry-after: 60\r\nconnection: close\r\n\r\n"
    return head.encode() + FULL


def guard(
    server: Server, per_visitor: int, behind_proxy: bool, patience: float = PATIENCE
) -> ConnectionCounter:
    """Give a running server its limits; they hold for every connection that comes from now on."""
    most = min(SHARES * per_visitor, open_files() - SPARE_FILES)
    counter = ConnectionCounter(min(per_visitor, max(1, most // 2)), most, patience, behind_proxy)
    server.config.http_protocol_class = partial(LimitedConnection, counter)  # type: ignore
    while not behind_proxy and isinstance(server.config.loaded_app, ProxyHeadersMiddleware):
        # uvicorn believes X-Forwarded-For of whoever is on this machine, also of a plain tunnel
        server.config.loaded_app = server.config.loaded_app.app  # type: ignore[assignment]
    server.config.ws_protocol_class = None  # the page has none, and they would not be counted
    return counter


def open_files(wanted: int = 8192) -> int:
    """Return how many files this process may open, after asking for as many as wanted."""
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        best = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (best, hard))
            soft = best
    return wanted if soft == resource.RLIM_INFINITY else soft
