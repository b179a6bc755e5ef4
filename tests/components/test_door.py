"""The server as a stranger meets it: a real page on a real port, spoken to over plain HTTP."""

import http.client
import json
import logging
import socket
import time

import gradio as gr
import pytest
from starlette.middleware import Middleware

from components.door import Door, Limits, Meter
from components.journal import JOURNAL, Entry, Journal, JsonLines
from components.safe_upload import SafeImage, SafeUpload
from components.service import stopping


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


def test_health_is_told_and_turns_when_the_server_is_to_stop(port):
    status, text, _ = ask(port, "GET", "/healthz")
    assert (status, json.loads(text)["status"]) == (200, "ok")
    stopping.set()
    try:
        assert ask(port, "GET", "/healthz")[0] == 503
    finally:
        stopping.clear()


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
    head = b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"
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


def test_counts_are_served_without_what_anybody_asked(port):
    JOURNAL.write(Entry("embedded", "tab", ["fastervlm"], 36, 3, 0.2))
    pytest.importorskip("prometheus_client")
    status, text, _ = ask(port, "GET", "/metrics")
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


def test_a_body_that_comes_too_slowly_is_given_up(port_of_the_impatient):
    began = time.monotonic()
    head = b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"
    assert b" 408 " in first_line(port_of_the_impatient, head)
    assert time.monotonic() - began < 15


@pytest.fixture
def port_of_the_impatient():
    with gr.Blocks() as page:
        gr.Markdown("x")
    middleware = [Middleware(Door, limits=Limits(patience=0.3))]
    _, url, _ = page.launch(
        server_name="127.0.0.1",
        prevent_thread_lock=True,
        quiet=True,
        app_kwargs={"middleware": middleware},
    )
    yield int(url.rstrip("/").rsplit(":", 1)[1])
    page.close()


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
