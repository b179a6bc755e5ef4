"""The documented nginx file: it serves the page, and does what docs/server.md says that it does.

What it does not do is tried as well: each is a reason why a part of components/server stays.
"""

import contextlib
import json
import socket

import pytest

from tests.components.server.test_connections import HEAD, ending, left_open
from tests.components.server.test_request_limits import ask, post
from tests.nginx import DOCUMENTED, nginx, replaced

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def front(port, tmp_path_factory):
    """Port of an nginx in front of the page; it waits for a second where the file says twenty."""
    quick = {"client_header_timeout": "1s", "client_body_timeout": "1s", "send_timeout": "1s"}
    few = {"limit_conn": "tokviz_open 3", "client_max_body_size": "1m", "server_name": "localhost"}
    with nginx(tmp_path_factory.mktemp("nginx"), port, **quick, **few) as found:
        yield found


def test_the_page_and_its_endpoints_work_behind_it(front):
    status, _, headers = ask(front, "GET", "/")
    assert status == 200
    assert "connect-src 'self'" in headers["content-security-policy"]
    asked = json.loads(post(front, "/gradio_api/call/models", {"data": []})[1])
    assert "embedded" in ask(front, "GET", f"/gradio_api/call/models/{asked['event_id']}")[1]


@pytest.mark.parametrize("head", [b"", HEAD])
def test_it_ends_a_connection_without_headers(front, head):
    """No clock is read: `recv` returns when it has hung up."""
    assert not ending(left_open(front, head)).startswith(b"HTTP/1.1 200")


def test_it_refuses_a_body_that_is_too_long(front):
    assert ask(front, "POST", "/gradio_api/upload", b"x" * (2**20 + 1))[0] == 413


def test_one_address_cannot_have_every_request_open(front):
    half = b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(left_open(front, half))
        assert ask(front, "GET", "/healthz")[0] == 503


def test_it_does_not_count_connections_whose_headers_have_not_come(front):
    """Why components/server/connections.py counts them where no proxy stands in front."""
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(socket.create_connection(("127.0.0.1", front), timeout=20))
        assert ask(front, "GET", "/healthz")[0] == 200


def test_a_directive_that_is_gone_is_noticed():
    with pytest.raises(ValueError, match="unpack"):
        replaced(DOCUMENTED.read_text(), {"no_such_directive": "1"})
