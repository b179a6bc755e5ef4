"""Connections that are opened and left, headers that never end, answers that nobody reads."""

import contextlib
import socket
from asyncio import Future
from types import SimpleNamespace

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from components.server.connections import FULL, ConnectionCounter, LimitedConnection, guard
from components.server.visitors import visitor


class Clock:
    """An event loop's timers, without time."""

    def __init__(self):
        self.timers, self.now = [], 0.0

    def call_later(self, seconds, act):
        timer = SimpleNamespace(due=self.now + seconds, act=act, on=True)
        timer.cancel = lambda: setattr(timer, "on", False)
        self.timers.append(timer)
        return timer

    def create_task(self, work):
        work.close()
        return Future(loop=self)

    def get_debug(self):
        return False

    def pass_(self, seconds):
        self.now += seconds
        for timer in [t for t in self.timers if t.on and t.due <= self.now]:
            timer.on = False
            timer.act()


class Wire:
    """A connection's other end, as far as a protocol sees it."""

    def __init__(self, address):
        self.address, self.written, self.ended = address, b"", ""

    def get_extra_info(self, name, default=None):
        return {"peername": (self.address, 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def write(self, data):
        self.written += data

    def close(self):
        self.ended = self.ended or "closed"

    def abort(self):
        self.ended = "aborted"

    def is_closing(self):
        return bool(self.ended)

    def pause_reading(self):
        pass

    resume_reading = pause_reading


async def nothing(scope, receive, send):
    """Take a request, and never answer."""


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def connect(clock):
    config = Config(nothing, ws="none", interface="asgi3", log_config=None)

    def connecting(counter, address="192.0.2.1"):
        protocol = LimitedConnection(counter, config, ServerState(), {}, clock)
        wire = Wire(address)
        protocol.connection_made(wire)
        return protocol, wire

    return connecting


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


def test_who_opens_a_connection_and_leaves_it_is_hung_up_on(clock, connect):
    _, wire = connect(ConnectionCounter(patience=20))
    clock.pass_(19)
    assert not wire.ended
    clock.pass_(1)
    assert wire.ended == "aborted"


def test_headers_that_come_drop_by_drop_do_not_buy_time(clock, connect):
    protocol, wire = connect(ConnectionCounter(patience=20))
    for byte in HEAD[:20]:
        protocol.data_received(bytes([byte]))
        clock.pass_(1)
    assert wire.ended == "aborted"


def test_a_request_that_has_come_is_given_its_time(clock, connect):
    protocol, wire = connect(ConnectionCounter(patience=20))
    protocol.data_received(HEAD + b"\r\n")
    clock.pass_(1000)
    assert not wire.ended


def test_a_second_request_on_the_same_connection_has_to_come_in_time_too(clock, connect):
    protocol, wire = connect(ConnectionCounter(patience=20))
    protocol.data_received(HEAD + b"\r\n")
    protocol.cycle.response_complete = True
    protocol.conn = type(protocol.conn)(protocol.conn.our_role)
    protocol.data_received(HEAD)
    clock.pass_(20)
    assert wire.ended == "aborted"


def test_an_answer_that_nobody_reads_is_given_up(clock, connect):
    protocol, wire = connect(ConnectionCounter(patience=20))
    protocol.data_received(HEAD + b"\r\n")
    protocol.pause_writing()
    clock.pass_(19)
    protocol.resume_writing()
    clock.pass_(19)
    assert not wire.ended
    protocol.pause_writing()
    protocol.data_received(HEAD)
    clock.pass_(20)
    assert wire.ended == "aborted"


def test_one_address_cannot_take_every_connection(connect):
    counter = ConnectionCounter(per_visitor=2, most=5)
    mine = [connect(counter) for _ in range(3)]
    assert [wire.ended for _, wire in mine] == ["", "", "closed"]
    assert FULL in mine[2][1].written
    assert not connect(counter, "192.0.2.2")[1].ended
    for protocol, _ in mine:
        protocol.connection_lost(None)
    assert not connect(counter)[1].ended


def test_the_server_has_a_limit_of_its_own(connect):
    counter = ConnectionCounter(per_visitor=2, most=3)
    ends = [connect(counter, f"192.0.2.{number}")[1].ended for number in range(5)]
    assert ends == ["", "", "", "closed", "closed"]


def test_a_proxy_may_hold_as_many_as_there_are(connect):
    counter = ConnectionCounter(per_visitor=1, most=3, behind_proxy=True)
    assert [connect(counter)[1].ended for _ in range(4)] == ["", "", "", "closed"]


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not an address", "not an address"),
    ],
)
def test_all_addresses_that_one_machine_usually_has_are_one_visitor(address, whose):
    assert visitor(address) == whose


def left_open(port, head):
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.sendall(head)
    return sock


def ending(sock):
    with sock, contextlib.suppress(ConnectionResetError):
        return sock.recv(400)


def test_a_running_server_keeps_the_limits(own_page):
    """Three are held by half a request; the fourth is told so; when they are given up, all is well.

    No clock is read: each `recv` returns when the server has hung up.
    """
    page, port = own_page
    counter = guard(page.server, 3, behind_proxy=False, patience=1.0)
    held = [left_open(port, HEAD) for _ in range(3)]
    assert FULL in ending(left_open(port, b""))
    assert not any(ending(sock) for sock in held)
    assert ending(left_open(port, HEAD + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert counter.held.total() <= 1
