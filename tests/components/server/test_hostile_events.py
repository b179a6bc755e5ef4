"""Every event and server function of the page, called by a stranger with arguments that are none.

What comes back is a sentence, or Gradio's refusal; nothing of ours fails, and nothing is told of
the server's paths.
"""

import json
import random

import pytest

from tests.components.server.test_request_limits import ask, post
from tests.serving import ROOT

HOSTILE = [
    None, "", [], {}, 0, -1, 10**30, 1.5, True, "x" * 500, "example-one", "example-one:-1", "page",
    "walk", "fastervlm", 36, {"keep": "x", "layer": 10**9, "words": "1," * 5000, "hand": "f"},
    [{"method": "fastv", "keep": -5}], [{"method": {}}], "__class__", "../../etc/passwd",
    "<img src=x onerror=alert(1)>", "necessary", [10**9],
]  # fmt: skip
FIELDS = ("run", "lane", "at", "token", "kind", "example", "plans", "link", "method", "keep", "id",
          "options", "tokens", "n", "view", "word", "map")  # fmt: skip
FILE = {"path": "/etc/passwd", "url": "file:///etc/passwd", "meta": {"_type": "gradio.FileData"}}
TOLD = ("Traceback", "site-packages", "/tokviz/", "/components/", "root:")


@pytest.fixture(scope="module")
def config(port):
    return json.loads(ask(port, "GET", "/config")[1])


def failures(capfd, caplog):
    """Return the lines of tracebacks that stand in our own code, and errors that it has logged."""
    ours = (f'File "{ROOT / "components"}', f'File "{ROOT / "tokviz"}')
    lines = capfd.readouterr().err.splitlines()
    logged = [repr(r.exc_info) for r in caplog.records if r.name == "components.error_text"]
    return [line for line in lines if line.strip().startswith(ours)] + logged


def check(status, text):
    assert status in (200, 400, 404, 422, 429, 500), text
    assert not [word for word in TOLD if word in text], text


@pytest.mark.slow
def test_no_event_fails_at_what_a_stranger_sends(port, config, capfd, caplog):
    rng = random.Random(0)
    for event in config["dependencies"]:
        for number in range(5):
            fields = {name: rng.choice(HOSTILE) for name in rng.sample(FIELDS, 9)}
            sent = fields if number else rng.choice([None, [], "x", 7])
            data = [
                rng.choice([None, FILE, *HOSTILE][: 1 + 30 * (number > 2)]) for _ in event["inputs"]
            ]
            body = {"data": data, "event_data": sent, "fn_index": event["id"], "session_hash": "s",
                    "trigger_id": (event["targets"] or [[0]])[0][0]}  # fmt: skip
            quick = event["queue"] is False
            check(
                *post(port, "/gradio_api/run/predict" if quick else "/gradio_api/queue/join", body)[
                    :2
                ]
            )
    check(*last_in_the_queue(port))
    assert not failures(capfd, caplog)


def last_in_the_queue(port):
    """Ask by the public endpoint and wait; whatever was in front of it is done then."""
    given = {"data": [None, "what ?", "", "", 0, {}]}
    event = json.loads(post(port, "/gradio_api/call/answer", given)[1])["event_id"]
    return ask(port, "GET", f"/gradio_api/call/answer/{event}")[:2]


def test_no_server_function_fails_at_what_a_stranger_sends(port, config, capfd, caplog):
    rng = random.Random(1)
    parts = [part for part in config["components"] if part["props"].get("server_fns")]
    assert len(parts) == 6
    for part in parts:
        for name in (*part["props"]["server_fns"], "postprocess", "__init__"):
            for number in range(12):
                fields = {field: rng.choice(HOSTILE) for field in FIELDS}
                data = fields if number else rng.choice([None, [], "x"])
                body = {
                    "data": data,
                    "component_id": part["id"],
                    "fn_name": name,
                    "session_hash": "s",
                }
                check(*post(port, "/gradio_api/component_server", body)[:2])
    assert not failures(capfd, caplog)
