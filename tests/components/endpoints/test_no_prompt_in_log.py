"""No prompt is written to a log, whichever way a request comes and however it fails.

Everything is captured that the server's process writes: stdout, stderr and every logger, with the
messages of errors.
"""

import json
import logging
import traceback
from dataclasses import replace

import pytest

from tests.components.endpoints.conftest import HTTP, call_tool, post_message
from tests.components.endpoints.test_tools import MARK, WRONG, wait_until
from tests.view.fakes import BLUE, picture

PROMPT = f"what is {MARK} ?"
ENDPOINTS = ["answer", "answer_stream"]


@pytest.fixture
def written(capfd, caplog):
    """Return all that is written while a test runs."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.WARNING, "httpx")  # the test's own client names addresses

    def read():
        errors = [r.exc_info[1] for r in caplog.records if r.exc_info and r.exc_info[1]]
        chains = ["".join(traceback.format_exception(error)) for error in errors]
        extras = [repr(vars(record)) for record in caplog.records]
        return "\n".join([*capfd.readouterr(), caplog.text, *chains, *extras])

    return read


@pytest.fixture(scope="module")
def upload(tools):
    """Return how a file is sent to the server; it returns what an endpoint reads."""

    def send(data, name="blue.png"):
        got = HTTP.post(f"{tools.url}/gradio_api/upload", files={"files": (name, data)})
        return {"path": got.json()[0], "meta": {"_type": "gradio.FileData"}}

    return send


@pytest.fixture(scope="module")
def blue(upload, tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "blue.png"
    picture(BLUE).save(path)
    return upload(path.read_bytes())


def ask(tools, endpoint, data):
    """Return what an endpoint says to a caller with curl."""
    base = f"{tools.url}/gradio_api/call/{endpoint}"
    got = HTTP.post(base, json={"data": data})
    if "event_id" not in got.text:
        return got.text
    return HTTP.get(f"{base}/{got.json()['event_id']}", timeout=60).text


def wrong_inputs(blue):
    """Yield lists of inputs that cannot be used, the prompt in every place."""
    right = [blue, PROMPT, "", "fastv", 9, {}, False]
    yield from (right[:count] for count in range(2))
    yield [*right, PROMPT, *[None] * 20]
    for place in range(7):
        for value in (PROMPT, [PROMPT], {"path": PROMPT}, 7.5):
            yield [*right[:place], value, *right[place + 1 :]]
    yield [blue, f"<|{MARK}|>", "", "", 0, {}]
    yield [blue, PROMPT, "", "fastv", 9, {PROMPT: PROMPT, "layer": PROMPT}]
    yield PROMPT
    yield {"prompt": PROMPT}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_inputs_that_cannot_be_used(tools, blue, endpoint, written):
    for data in wrong_inputs(blue):
        said = ask(tools, endpoint, data)
        assert '"error": null' not in said
        if "error" in said:
            assert MARK not in said, data
    assert MARK not in written()


@pytest.mark.parametrize("endpoint", ["methods", "analyses", "models", MARK])
def test_lists_and_unknown_endpoints(tools, endpoint, written):
    for data in ([PROMPT], [PROMPT, PROMPT], ["", PROMPT], [[PROMPT]], [PROMPT] * 9, PROMPT):
        assert MARK not in ask(tools, endpoint, data)
    assert MARK not in written()


def test_files_that_are_no_pictures(tools, upload, written):
    for data in (MARK.encode(), b"\x89PNG\r\n\x1a\n" + MARK.encode(), b"GIF89a" + MARK.encode()):
        said = ask(tools, "answer", [upload(data, f"{MARK}.png"), PROMPT])
        assert "error" in said
    assert MARK not in written()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_model_that_fails(tools, blue, endpoint, written, monkeypatch):
    """The error's message quotes the prompt, as tokenizers and templates may."""
    monkeypatch.setattr(tools.vlm, "broken", KeyError(PROMPT))
    assert "went wrong" in ask(tools, endpoint, [blue, PROMPT])
    monkeypatch.setattr(tools.vlm, "broken", None)
    monkeypatch.setattr(tools.vlm, "fails_at", 1)
    assert "went wrong" in ask(tools, endpoint, [blue, PROMPT])
    text = written()
    assert MARK not in text
    assert "RuntimeError" in text
    assert "fake_vlm.py" in text


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_run_out_of_time_or_cancelled(tools, blue, endpoint, written, monkeypatch):
    with tools.vlm.slow(400):
        monkeypatch.setattr(tools.site, "settings", replace(tools.site.settings, max_seconds=0.1))
        assert "event: complete" in ask(tools, endpoint, [blue, PROMPT])
        monkeypatch.undo()
        base = f"{tools.url}/gradio_api/call/{endpoint}"
        event = HTTP.post(base, json={"data": [blue, PROMPT]}).json()["event_id"]
        assert wait_until(lambda: tools.site.stops.running)
        body = {"session_hash": event, "fn_index": 0, "event_id": event}
        HTTP.post(f"{tools.url}/gradio_api/cancel", json=body)
        assert wait_until(lambda: not tools.site.stops.running)
    assert MARK not in written()


def test_a_full_queue(tools, blue, written, monkeypatch):
    monkeypatch.setattr(tools.page._queue, "waiting", lambda request: 10**9)
    assert "wait already" in ask(tools, "answer", [blue, PROMPT])
    assert MARK not in written()


def test_every_event_of_the_page(tools, written):
    """All of them, private ones too, called as the page's scripts do and as they never do."""
    events = json.loads(HTTP.get(f"{tools.url}/config").text)["dependencies"]
    for event in events:
        route = "run/predict" if event["queue"] is False else "queue/join"
        for value in (PROMPT, {"path": PROMPT}):
            body = {"data": [value] * len(event["inputs"]), "fn_index": event["id"],
                    "session_hash": "strange", "event_data": {"value": PROMPT}}  # fmt: skip
            HTTP.post(f"{tools.url}/gradio_api/{route}", json=body)
    assert wait_until(lambda: not len(tools.page._queue) and not tools.site.stops.running, 60)
    for route in ("component_server", "call/answer", "reset", "cancel", "queue/join", "upload"):
        for body in ({"prompt": PROMPT}, PROMPT, {"data": PROMPT, "fn_name": PROMPT}):
            got = HTTP.post(f"{tools.url}/gradio_api/{route}", json=body)
            assert MARK not in got.text, route
    assert MARK not in written()


def test_tools(tools, written, monkeypatch):
    for given in WRONG.values():
        call_tool(tools.url, "answer", **{"image": "iVBORw0K", "prompt": PROMPT, **given})
    call_tool(tools.url, PROMPT)
    call_tool(tools.url, "methods", name=PROMPT)
    monkeypatch.setattr(tools.page._queue, "waiting", lambda request: 10**9)
    call_tool(tools.url, "answer", image="iVBORw0K", prompt=PROMPT)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    for params in (PROMPT, {"name": 5, "arguments": PROMPT}, {"arguments": {"prompt": PROMPT}}):
        post_message(tools.url, {**call, "params": params})
    assert MARK not in written()
