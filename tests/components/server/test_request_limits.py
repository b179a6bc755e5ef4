"""The server as a stranger meets it: a real page on a real port, spoken to over plain HTTP."""

import asyncio
import errno
import http.client
import json
import logging
import socket

import gradio as gr
import pytest

from components.runs.journal import Entry, Journal, JsonLines
from components.server.request_counts import Meter
from components.server.request_limits import FULL_DISK, Limits, RequestLimits
from components.widgets.safe_upload import SafeImage, SafeUpload
from tests.loops import finished


def ask(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace"), answer.headers
    finally:
        connection.close()


def post(port, path, data):
    return ask(port, "POST", path, json.dumps(data), {"content-type": "application/json"})


def test_health_turns_when_the_server_is_to_stop(port, served):
    status, text, _ = ask(port, "GET", "/healthz")
    assert (status, json.loads(text)["status"]) == (200, "ok")
    served.stopping.set()
    try:
        assert ask(port, "GET", "/healthz")[0] == 503
    finally:
        served.stopping.clear()


def test_the_page_may_talk_to_its_own_host_only(port):
    status, _, headers = ask(port, "GET", "/")
    assert status == 200
    assert "connect-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://127.0.0.1:1/x",
        "/gradio_api/file=https://example.org/x.png",
        "/gradio_api/file=HTTP://169.254.169.254/latest",
        "/gradio_api/file=file:///etc/passwd",
        "/gradio_api/proxy=https://example.hf.space/x",
        "/gradio_api/file%3Dhttp://127.0.0.1:1/x",
    ],
)
def test_no_address_is_fetched(port, path):
    assert ask(port, "GET", path)[0] == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/process_recording",
        "/gradio_api/process_recording/",
        "/gradio_api/dev/reload",
        "/gradio_api/deep_link?session_hash=x",
        "/?deep_link=../../x",
        "/gradio_api/vibe-code",
        "/gradio_api/undo-vibe-edit/",
        "/monitoring/summary",
    ],
)
def test_what_serves_the_makers_of_a_page_is_closed(port, method, path):
    """Gradio gives what comes to process_recording to ffmpeg, which can read our files for it."""
    status, text, _ = ask(port, method, path)
    assert (status, text) == (404, "There is no such thing here.")


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "app.py", "../../etc/passwd", "..%2f..%2fetc/passwd", "/proc/self/environ"],
)
def test_no_file_of_the_server_is_served(port, path):
    status, text, _ = ask(port, "GET", f"/gradio_api/file={path}")
    assert status in (403, 404)
    assert "root:" not in text


@pytest.mark.parametrize(
    "path", ["http://127.0.0.1:1/x.png", "https://example.org/x.png", "/etc/passwd", "../app.py"]
)
def test_a_picture_that_is_an_address_or_a_path_is_refused(port, path):
    config = json.loads(ask(port, "GET", "/config")[1])
    upload = next(d for d in config["dependencies"] if d["targets"][0][1] == "upload")
    picture = {"path": path, "url": path, "meta": {"_type": "gradio.FileData"}}
    body = {"data": [picture], "fn_index": upload["id"], "session_hash": "stranger"}
    status, text, _ = post(port, "/gradio_api/run/predict", body)
    assert status in (403, 404, 422, 500), text
    assert "root:" not in text


def first_line(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(request)
        return sock.recv(200).split(b"\r\n")[0]


def test_a_body_that_is_too_long_is_refused_before_it_is_sent(port):
    head = b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\n"
    head += b"Content-Length: 3000000\r\n\r\n"
    assert b" 413 " in first_line(port, head)


def test_a_body_that_never_says_its_length_is_counted(port):
    def chunks():
        for _ in range(40):
            yield b"x" * 2**16

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/gradio_api/queue/join", chunks(), encode_chunked=True)
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # it hung up while we were still sending, which is as good
    finally:
        connection.close()


def test_counts_are_served_to_the_operator_and_without_what_anybody_asked(port, served):
    served.journal.write(Entry("embedded", "tab", ["fastervlm"], 36, 3, 0.2))
    pytest.importorskip("prometheus_client")
    assert ask(port, "GET", "/metrics")[0] == 401
    wrong = {"authorization": "Bearer open sesam\u00e9"}
    assert ask(port, "GET", "/metrics", headers=wrong)[0] == 401
    right = {"authorization": "Bearer open sesame"}
    status, text, _ = ask(port, "GET", "/metrics", headers=right)
    assert status == 200
    assert 'tokviz_runs_total{outcome="done"}' in text
    assert "tab" not in text.replace("tokviz", "")


def test_one_address_cannot_ask_without_end():
    now = [0.0]
    meter = Meter(3, clock=lambda: now[0])
    assert [meter.allows("a") for _ in range(4)] == [True, True, True, False]
    assert meter.allows("b")
    now[0] = 61.0
    assert meter.allows("a")


class Asked:
    """One request to `RequestLimits`, whose body comes as the test says."""

    def __init__(self, limiter, path="/x", address="192.0.2.1", method="POST"):
        self.limiter, self.parts, self.sent = limiter, asyncio.Queue(), []
        self.scope = {"type": "http", "method": method, "path": path, "headers": []}
        self.scope |= {"client": (address, 1), "query_string": b""}

    async def send(self, message):
        self.sent.append(message)

    async def run(self, *parts):
        for part in parts:
            self.parts.put_nowait({"type": "http.request", "body": part, "more_body": bool(part)})
        await self.limiter(self.scope, self.parts.get, self.send)
        return self.sent[0]["status"]


async def reading(scope, receive, send):
    """Read a body, then answer."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200})


def test_a_body_that_stops_coming_is_given_up():
    limiter = RequestLimits(reading, Limits(patience=0.1))
    assert finished(Asked(limiter).run(b"{")) == 408


def test_a_body_that_comes_drop_by_drop_is_given_up():
    """Without the least number of bytes per second this one would never end."""

    async def dripping():
        asked = Asked(RequestLimits(reading, Limits(patience=0.2, least_bytes=10**9)))
        asked.parts.get = lambda: asyncio.sleep(0, {"body": b"x", "more_body": True})
        return await asked.run()

    assert finished(dripping()) == 408


@pytest.mark.parametrize(("method", "path"), [("POST", "/x"), ("GET", "/")])
def test_one_address_cannot_take_every_worker(method, path):
    """Of four requests of one address two are worked on; another address need not wait."""
    working, go = [], asyncio.Event()

    async def slow(scope, receive, send):
        await receive()
        working.append(scope["client"][0])
        await go.wait()
        await send({"type": "http.response.start", "status": 200})

    async def visits():
        limiter = RequestLimits(slow, Limits(at_once=2))
        asked = [Asked(limiter, path, a, method) for a in ["192.0.2.1"] * 4 + ["192.0.2.2"]]
        tasks = [asyncio.create_task(one.run(b"")) for one in asked]
        while "192.0.2.2" not in working:
            await asyncio.sleep(0)
        assert working.count("192.0.2.1") == 2
        go.set()
        assert await asyncio.gather(*tasks) == [200] * 5
        assert not limiter.open.held

    finished(visits())


def test_an_address_that_holds_too_many_streams_gets_no_more():
    async def visits():
        held = asyncio.Event()

        async def stream(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            await held.wait()

        limiter = RequestLimits(stream, Limits(open_requests=2))
        streams = [Asked(limiter, method="GET") for _ in range(2)]
        tasks = [asyncio.create_task(one.run()) for one in streams]
        while not all(one.sent for one in streams):
            await asyncio.sleep(0)
        assert await Asked(limiter, method="GET").run() == 503
        held.set()
        await asyncio.gather(*tasks)
        assert await Asked(limiter, method="GET", address="192.0.2.2").run() == 200

    finished(visits())


@pytest.mark.parametrize(
    ("limits", "method", "path"),
    [
        (Limits(requests=4), "GET", "/"),
        (Limits(requests=4), "GET", "/config"),
        (Limits(requests=4), "HEAD", "/gradio_api/info"),
        (Limits(requests=2), "GET", "/gradio_api/queue/data"),
        (Limits(requests=2), "GET", "/gradio_api/call/answer/0"),
        (Limits(logins=2), "POST", "/login"),
        (Limits(logins=2), "POST", "/login/"),
    ],
)
def test_drawn_pages_and_passwords_are_counted(limits, method, path):
    async def visits():
        limiter = RequestLimits(reading, limits)
        return [await Asked(limiter, path, method=method).run(b"") for _ in range(3)]

    assert finished(visits()) == [200, 200, 429]


def test_a_full_disk_is_a_sentence_and_the_next_request_works():
    disk = [OSError(errno.ENOSPC, "No space left on device")]

    async def saving(scope, receive, send):
        await receive()
        if disk:
            raise disk.pop()
        await send({"type": "http.response.start", "status": 200})

    async def visits():
        limiter = RequestLimits(saving)
        asked = [Asked(limiter, "/gradio_api/upload") for _ in range(2)]
        found = [await one.run(b"") for one in asked]
        return found, asked[0].sent[1]["body"], dict(limiter.open.held)

    assert finished(visits()) == ([507, 200], FULL_DISK.encode(), {})


def test_one_address_cannot_fill_the_disk():
    async def visits():
        limiter = RequestLimits(reading, Limits(upload_bytes=10))
        path, mine, yours = "/gradio_api/upload", "192.0.2.1", "192.0.2.2"
        asked = [Asked(limiter, path, mine) for _ in range(11)] + [Asked(limiter, path, yours)]
        return [await one.run(b"x" * 10, b"") for one in asked]

    assert finished(visits()) == [200] * 10 + [429, 200]


def test_files_of_the_page_are_not_counted():
    async def visits():
        limiter = RequestLimits(reading, Limits(requests=1))
        return [await Asked(limiter, "/assets/index.js", method="GET").run(b"") for _ in range(3)]

    assert finished(visits()) == [200] * 3


def test_the_log_names_no_visitor_and_no_text(caplog):
    journal = Journal()
    with caplog.at_level(logging.INFO, "tokviz.runs"):
        journal.write(Entry("embedded", "session-of-ann", ["<b>"], 36, 3, 1.23456))
    line = json.loads(JsonLines().format(caplog.records[-1]))
    assert line["model"] == "embedded"
    assert line["seconds"] == 1.235
    assert "ann" not in json.dumps(line)
    assert journal.buckets[3] == 1


@pytest.mark.parametrize("upload", [SafeImage, SafeUpload])
@pytest.mark.parametrize("address", ["https://example.org/x.png", "HTTP://127.0.0.1/", "ftp://x/y"])
def test_upload_fields_do_not_fetch(upload, address):
    with pytest.raises(gr.Error, match="not fetched"):
        upload().async_move_resource_to_block_cache(address).send(None)
