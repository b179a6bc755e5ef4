"""Wrong paths and wrong kinds: a sentence to who asked, one line in the log, no prompt there."""

import http.client
import json
import logging

import pytest

from components.server.odd_requests import is_ours
from tests.components.server.test_request_limits import ask, post
from tests.hostile_requests import BODIES, INPUTS, PATHS, POSTS, SECRET


@pytest.fixture
def written(capfd, caplog):
    """Return what is written to the log and to stderr while a test runs."""
    caplog.set_level(logging.INFO)

    def read():
        lines = [f"{record.getMessage()} {record.exc_text or ''}" for record in caplog.records]
        return "\n".join([capfd.readouterr().err, *lines])

    return read


def check_log(text):
    assert "Traceback" not in text
    assert SECRET not in text


@pytest.mark.parametrize("data", INPUTS, ids=range(len(INPUTS)))
def test_wrong_inputs_of_an_endpoint_are_answered_with_a_sentence(port, data, written):
    event = json.loads(post(port, "/gradio_api/call/answer", {"data": data})[1])["event_id"]
    text = ask(port, "GET", f"/gradio_api/call/answer/{event}")[1]
    said = json.loads(text.split("data: ", 1)[1].splitlines()[0])
    sentence = (said[0] if isinstance(said, list) else said)["error"]
    assert sentence.endswith(".")
    assert SECRET not in sentence
    check_log(written())


def test_too_few_inputs_are_counted_and_named(port):
    event = json.loads(post(port, "/gradio_api/call/answer", {"data": [None]})[1])["event_id"]
    text = ask(port, "GET", f"/gradio_api/call/answer/{event}")[1]
    assert "/answer takes 2 to 11 inputs (image, prompt, model, method, keep, options, " in text
    assert "got 1." in text


def test_wrong_paths_and_bodies_write_no_traceback(port, written):
    for path in PATHS:
        try:
            status, text, _ = ask(port, "GET", path)
            assert status < 500, text
        except http.client.IncompleteRead:
            pass  # an unknown stream: its answer had begun
    for path in POSTS:
        for body in BODIES:
            text = post(port, path, body)[1]
            assert text != "Internal Server Error"
            assert '"error":null' not in text.replace(" ", "")
    check_log(written())


def test_every_event_with_wrong_kinds_writes_no_traceback(port, written):
    events = json.loads(ask(port, "GET", "/config")[1])["dependencies"]
    for event in events:
        if event["queue"] is False:
            for value in (7, {"path": SECRET}, [[SECRET]]):
                body = {"data": [value] * len(event["inputs"]), "fn_index": event["id"]}
                text = post(port, "/gradio_api/run/predict", {**body, "session_hash": "odd"})[1]
                assert '"error":null' not in text.replace(" ", "")
    check_log(written())


@pytest.mark.parametrize(
    ("module", "ours"), [("components.look.charts", True), ("gradio.routes", False)]
)
def test_a_fault_of_ours_is_told_from_a_stranger_s(module, ours):
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile("1 / 0", "x", "exec"), {"__name__": module})
    assert is_ours(caught.value) is ours
