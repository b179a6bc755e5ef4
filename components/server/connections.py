"""Who may hold a connection, how many, and for how long without sending or reading anything?

`RequestLimits` sees a request once its headers have come; what comes before that, and who never
reads an answer, is uvicorn's to deal with, which waits for both without end. So the page's server
gets a protocol of its own: that of uvicorn, which counts connections per address and hangs up on
whoever keeps it waiting. Gradio starts the server itself; `guard` is told of it afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from uvicorn import Server
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.auto import AutoHTTPProtocol

PATIENCE = 20.0
"""Seconds in which the headers of a request must have come, and an unread answer must be read."""
SHARES = 4
"""So many addresses can use up their connections before the server has none left."""
SPARE_FILES = 200
"""Files that the server opens besides connections: models, uploads, libraries."""
FULL = b"Too many connections are open here: close some, or try again in a minute."


def visitor(address: str) -> str:
    """Return what counts as one visitor: an IPv4 address, or the /64 network of an IPv6 address.

    A single machine usually gets 2**64 IPv6 addresses, all in one such network.
    """
    with contextlib.suppress(ValueError):
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address):
            if found.ipv4_mapped:
                return str(found.ipv4_mapped)
            return str(ipaddress.ip_network((found, 64), strict=False))
    return address


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


def patient(counter: ConnectionCounter) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, with the limits of a counter."""

    class Patient(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        """One connection."""

        alarm: asyncio.TimerHandle | None = None
        "Rings when headers that were begun have not come, or an answer was not read."
        address = ""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.address = visitor(str((self.client or ("",))[0]))
            if counter.enter(self.address):
                self.wait()
            else:
                transport.write(refusal())
                transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            counter.leave(self.address)
            self.rest()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.flow.write_paused:
                return
            if self.asked():
                self.rest()
            elif self.alarm is None and self.timeout_keep_alive_task is None:
                self.wait()

        def asked(self) -> bool:
            """Return whether a request has come that is not answered yet."""
            return self.cycle is not None and not self.cycle.response_complete

        def pause_writing(self) -> None:
            super().pause_writing()
            self.wait()

        def resume_writing(self) -> None:
            super().resume_writing()
            self.rest()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.transport.is_closing():
                self.wait()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self.wait()

        def wait(self) -> None:
            """Hang up unless something comes, or is read, in time."""
            self.rest()
            self.alarm = self.loop.call_later(counter.patience, self.transport.abort)

        def rest(self) -> None:
            """Wait no more."""
            if self.alarm is not None:
                self.alarm.cancel()
                self.alarm = None

    return Patient


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
    server.config.http_protocol_class = patient(counter)
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
