"""Visitor B, who knows all addresses of the server, looks for what visitor A asked and got.

Only the three random names that A's browser keeps to itself are missing: A's session, the id of an
event, the name of a run.
"""

import io
import json
import secrets
from pathlib import Path

import httpx
import pytest

from tests.components.server.test_request_limits import ask, post
from tests.view.fakes import BLUE, picture

SECRET = "what-only-a-knows"


class Visitor:
    """A browser tab, as far as the server sees it."""

    def __init__(self, port, session):
        self.port, self.session = port, session
        self.events = json.loads(ask(port, "GET", "/config")[1])["dependencies"]

    def send(self, event, data, where, told=None, session=""):
        body = {
            "data": data,
            "event_data": told,
            "fn_index": event["id"],
            "trigger_id": (event["targets"] or [[0]])[0][0],
            "session_hash": session if session != "" else self.session,
        }
        return post(self.port, f"/gradio_api/{where}", body)[1]

    def submit(self, path):
        event = next(e for e in self.events if "submit" in str(e["targets"]))
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        accepted = self.send(event, [file, None, f"{SECRET} ?", "embedded", None], "queue/join")
        heard = ask(self.port, "GET", f"/gradio_api/queue/data?session_hash={self.session}")[1]
        return json.loads(accepted)["event_id"], heard


@pytest.fixture(scope="module")
def a(port):
    """What A did: (path of the upload, id of the event)."""
    file = io.BytesIO()
    picture(BLUE).save(file, "PNG")
    files = {"files": (f"{SECRET}.png", file.getvalue())}
    path = httpx.post(f"http://127.0.0.1:{port}/gradio_api/upload", files=files).json()[0]
    event, heard = Visitor(port, secrets.token_hex(6)).submit(path)
    assert SECRET in heard
    assert "process_completed" in heard
    return Path(path), event


@pytest.fixture(scope="module")
def b(port):
    return Visitor(port, "visitor-b")


@pytest.mark.parametrize(
    "path",
    ["config", "gradio_api/info", "gradio_api/openapi.json", "gradio_api/queue/status", "healthz",
     "gradio_api/app_id", "gradio_api/user", "gradio_api/token", "gradio_api/startup-events",
     "gradio_api/run-history/records", "runs", "monitoring", "metrics", ""],
)  # fmt: skip
def test_no_address_of_the_server_tells_of_another(port, a, path):
    assert SECRET not in ask(port, "GET", f"/{path}")[1]


def test_no_folder_of_uploads_can_be_read(port, a):
    path, _ = a
    for folder in (path.parent, path.parent.parent, path.parent / "..", path.parent.parent / "x"):
        status, text, _ = ask(port, "GET", f"/gradio_api/file={folder}")
        assert status in (403, 404)
        assert SECRET not in text


@pytest.mark.slow
def test_no_event_shows_another_s_run(port, a, b):
    for event in (e for e in b.events if e["queue"] is False):
        for session in (b.session, None, "None", "undefined"):
            data = ["page"] * len(event["inputs"])
            told = {"id": "page:-1", "run": "page", "lane": -1, "kind": "trace"}
            assert SECRET not in b.send(event, data, "run/predict", told, session)


def test_a_run_whose_name_is_guessed_is_not_handed_out(port, a):
    config = json.loads(ask(port, "GET", "/config")[1])
    parts = [part for part in config["components"] if part["props"].get("server_fns")]
    assert parts
    for part in parts:
        for name in part["props"]["server_fns"]:
            for run in (secrets.token_urlsafe(16), "", "*", "A"):
                asked = {"id": f"{run}:-1", "run": run, "kind": "trace", "view": {}, "lane": -1}
                body = {"data": asked, "component_id": part["id"], "fn_name": name}
                text = post(port, "/gradio_api/component_server", body | {"session_hash": "b"})[1]
                assert SECRET not in text
                assert '"data":' not in text


def test_a_finished_run_is_not_told_again_even_to_who_knows_its_event(port, a, b):
    _, event = a
    url = f"http://127.0.0.1:{port}/gradio_api/call/answer/{event}"
    with httpx.Client(timeout=20) as http, http.stream("GET", url) as stream:
        try:
            text = "".join(stream.iter_text())
        except httpx.RemoteProtocolError:
            text = ""
    assert SECRET not in text
    cancel = {"session_hash": b.session, "fn_index": 0, "event_id": event}
    assert SECRET not in post(port, "/gradio_api/cancel", cancel)[1]
    assert ask(port, "POST", f"/gradio_api/stream/{event}/close")[0] == 404
