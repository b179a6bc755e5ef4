"""By which names, from which address and with which sign-in a request comes."""

import re
import socket
import time
from contextlib import contextmanager

import gradio as gr
import httpx
import pytest

from components.server.connections import guard
from components.server.fair_queue import queued
from components.server.hosts import Hosts, name_of, served_hosts
from components.server.lifecycle import app_kwargs
from components.server.request_limits import Limits
from components.server.sign_in import OPEN
from components.server.visitors import last_hop
from components.settings import Settings
from components.site import Site
from tests.components.server.test_request_limits import ask
from tests.nginx import nginx
from tests.serving import IN_PROCESS


@contextmanager
def launched(**told):
    """Serve a small page as app.py does; yield (its port, its application)."""
    settings = Settings(**told)
    with gr.Blocks() as page:
        gr.api(whoami, api_name="whoami")
    queued(page, settings.queue)
    app, url, _ = page.launch(
        **IN_PROCESS, enable_monitoring=False,
        auth=list(settings.auth) or None, app_kwargs=app_kwargs(Site(settings)),
    )  # fmt: skip
    guard(page.server, settings.connections, settings.trust_proxy)
    try:
        yield int(url.rstrip("/").rsplit(":", 1)[1]), app
    finally:
        page.close(verbose=False)


def whoami(word: str) -> str:
    return word


@pytest.mark.parametrize(
    ("header", "name"),
    [("Lab.Example.org:80", "lab.example.org"), ("[::1]:7860", "::1"), ("a.b.", "a.b"), ("", "")],
)
def test_a_name_is_read_from_the_host_header(header, name):
    assert name_of(header) == name


@pytest.mark.parametrize(
    ("server", "listed", "environ", "yes", "no"),
    [
        ("127.0.0.1", (), {}, ["localhost:1", "127.0.0.1", "127.8.8.8", "[::1]:2", "a.localhost"],
         ["evil.example", "192.168.1.5", "localhost.evil.example", "127.0.0.1.evil.example"]),
        ("0.0.0.0", (), {}, ["192.168.1.5:7860", "[fe80::1]", socket.gethostname()],
         ["evil.example", "192.168.1.5.evil.example"]),
        ("lab.example.org", (), {}, ["lab.example.org"], ["example.org", "xlab.example.org"]),
        ("127.0.0.1", ("lab.example.org", "*.ours.org"), {}, ["LAB.example.org", "a.ours.org"],
         ["ours.org", "evilours.org", "evil.example"]),
        ("0.0.0.0", (), {"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space"},
         ["a-b.hf.space", "a-b--x.hf.space"], ["evil.example"]),
        ("127.0.0.1", ("*",), {}, ["whatever.example"], []),
    ],
)  # fmt: skip
def test_only_the_server_s_own_names_are_served(server, listed, environ, yes, no):
    hosts = served_hosts(server, listed, environ)
    assert [one for one in yes if not hosts.allow(one)] == []
    assert [one for one in no if hosts.allow(one)] == []


def test_a_page_elsewhere_cannot_reach_a_laptop_s_lab(port):
    """Its name may point at 127.0.0.1; all refuse it but the health, no secret."""
    evil = {"host": f"evil.example:{port}"}
    routes = ["GET /", "GET /config", "POST /gradio_api/queue/join", "POST /gradio_api/upload"]
    for method, path in [route.split() for route in [*routes, "GET /gradio_api/file=x"]]:
        status, text, _ = ask(port, method, path, headers=evil)
        assert status == 421
        assert "TOKVIZ_HOSTS" in text
    assert ask(port, "GET", "/healthz", headers=evil)[0] == 200
    assert ask(port, "GET", "/config", headers={"host": f"localhost:{port}"})[0] == 200


def scope(*lines):
    return {"headers": [(b"x-forwarded-for", line) for line in lines]}


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        ([b"192.0.2.1"], "192.0.2.1"),
        ([b"203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        ([b"203.0.113.9", b"192.0.2.1"], "192.0.2.1"),
        ([b"203.0.113.9", b"203.0.113.8, 192.0.2.1:4711"], "192.0.2.1"),
        ([b"203.0.113.9, [2001:db8::1]:443"], "2001:db8::1"),
        ([b"203.0.113.9, 2001:db8::1"], "2001:db8::1"),
        ([], ""),
    ],
)
def test_the_nearest_proxy_s_word_counts(lines, address):
    assert last_hop(scope(*lines)) == address


def tries(port, headers, count=62):
    """Try passwords, each with other claims of an address; return how many were not counted out."""
    form = {"username": "ann", "password": "wrong"}
    left = 60 - time.monotonic() % 60  # tries are counted in whole minutes
    time.sleep(left + 0.1 if count > 1 and left < 25 else 0)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        found = [
            http.post("/login", data=form, headers=headers(number)).status_code
            for number in range(count)
        ]
    assert set(found) <= {400, 429}
    return found.count(400)


def claim(number):
    return [("x-forwarded-for", f"203.0.113.{number}")]


def test_without_trust_a_claimed_address_gives_no_further_tries():
    """uvicorn believes whoever connects from 127.0.0.1, unless it is told not to."""
    with launched(auth=(("ann", "secret"),)) as (port, _):
        assert tries(port, claim) == Limits().logins


def appended(number):
    """Return the headers of a proxy that appends a line of its own, or to the line that came."""
    if number % 2:
        return [*claim(number), ("x-forwarded-for", "192.0.2.1")]
    return [("x-forwarded-for", f"203.0.113.{number}, 192.0.2.1")]


def test_behind_a_proxy_that_appends_its_last_word_counts():
    with launched(auth=(("ann", "secret"),), trust_proxy=True) as (port, _):
        assert tries(port, appended) == Limits().logins
        other = [("x-forwarded-for", "192.0.2.1, 192.0.2.2")]
        assert tries(port, lambda number: other, 1) == 1


@pytest.mark.parametrize("trust", [True, False])
def test_behind_nginx_claims_give_no_further_tries(tmp_path, trust):
    told = {"auth": (("ann", "secret"),), "trust_proxy": trust}
    with launched(**told) as (port, _), nginx(tmp_path, port) as front:
        assert tries(front, claim) == Limits().logins
        here = tries(port, lambda number: [("x-forwarded-for", "192.0.2.7")], 1)
        assert here == (1 if trust else 0)  # untrusted, nginx and we are one visitor


def addresses(routes, front=""):
    """Yield (method, path) of every route of an application, with words for its parameters."""
    for route in routes:
        path = front + (getattr(route, "path", "") or "")
        below = getattr(getattr(route, "original_router", route), "routes", None)
        if below:
            yield from addresses(below, path)
        elif hasattr(route, "methods"):
            for method in sorted(route.methods or {"GET"}):
                yield method, re.sub(r"\{(\w+)(:\w+)?\}", "0", path)


def test_with_sign_in_nothing_is_open_but_the_sign_in_page():
    """Every route of the running application is asked for without a cookie."""
    with launched(auth=(("ann", "secret"),)) as (port, app):
        routes = sorted(set(addresses(app.routes)))
        assert len(routes) > 60
        assert {"/openapi.json", "/config", "/healthz"} <= {path for _, path in routes}
        closed = [one for one in routes if not OPEN.match(one[1])]
        found = {one: ask(port, *one)[0] for one in closed}
        assert {one: s for one, s in found.items() if s not in (401, 404)} == {}
        gone = {path for (_, path), status in found.items() if status == 404}
        assert not {"/openapi.json", "/gradio_api/queue/join", "/gradio_api/cancel"} & gone
        assert ask(port, "GET", "/healthz")[0] == 200
        assert ask(port, "GET", "/gradio_api/login_check")[0] == 401
        text = ask(port, "GET", "/")[1]
        assert '"auth_required":true' in text.replace(" ", "")


def test_whoever_signed_in_may_use_everything():
    with launched(auth=(("ann", "secret"),)) as (port, _):
        http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        assert http.get("/openapi.json").status_code == 401
        form = {"username": "ann", "password": "secret"}
        http.post("/login", data=form).raise_for_status()
        for path in ("/config", "/openapi.json", "/gradio_api/info"):
            assert http.get(path).status_code == 200
        asked = http.post("/gradio_api/call/whoami", json={"data": ["hello"]}).json()
        assert "hello" in http.get(f"/gradio_api/call/whoami/{asked['event_id']}").text
        http.close()


def test_hosts_of_a_door_are_this_machine_s_alone_unless_told():
    assert Limits().hosts == Hosts()
    assert not Hosts().allow("evil.example")
