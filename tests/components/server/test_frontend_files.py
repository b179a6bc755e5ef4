"""Gradio's scripts come from memory, the same bytes as from the disk, and nothing else does."""

from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio.routes import BUILD_PATH_LIB
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from components.server.frontend_files import LARGEST, FrontendFiles
from tests.serving import IN_PROCESS

FILES = [path for path in Path(BUILD_PATH_LIB).iterdir() if path.stat().st_size <= LARGEST]


def passed_on(folder):
    """A client of the middleware before an application that has nothing."""

    async def nothing(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"passed on"})

    return TestClient(FrontendFiles(nothing, folder))


@pytest.fixture
def folder(tmp_path):
    home = tmp_path / "assets"
    home.mkdir()
    (home / "a-1.js").write_text("let a = 1;" * 100)
    (home / "a-2.css").write_text("a { b: c }")
    (home / "large-3.js").write_bytes(b" " * (LARGEST + 1))
    (tmp_path / "secret.js").write_text("no")
    return home


def test_a_file_is_sent_as_it_is_and_compressed_and_may_be_kept(folder):
    browser, plain = passed_on(folder), "let a = 1;" * 100
    for _ in range(2):
        for accepts, coding in (("gzip, br", "br"), ("gzip", None), ("", None)):
            got = browser.get("/assets/a-1.js", headers={"accept-encoding": accepts})
            assert got.headers.get("content-encoding") == coding
            assert "javascript" in got.headers["content-type"]
            assert "immutable" in got.headers["cache-control"]
            assert got.text == plain
    (folder / "a-1.js").unlink()
    assert browser.get("/assets/a-1.js", headers={"accept-encoding": ""}).text == plain


@pytest.mark.parametrize(
    "path",
    [
        "/assets/large-3.js",
        "/assets/no-4.js",
        "/assets/../secret.js",
        "/assets/..%2fsecret.js",
        "/assets/",
        "/a-1.js",
        "/lab/assets/a-1.js",
        "/assets//assets/a-1.js",
    ],
)
def test_anything_else_is_passed_on(folder, path):
    assert passed_on(folder).get(path).text == "passed on"
    assert passed_on(folder).post("/assets/a-1.js").text == "passed on"


def test_gradio_would_have_sent_the_same():
    with gr.Blocks() as page:
        gr.Markdown("x")
    own = {"app_kwargs": {"middleware": [Middleware(FrontendFiles)]}}
    chosen = [next(path for path in FILES if path.suffix == end) for end in (".js", ".css")]
    answers = []
    for more in ({}, own):
        _, url, _ = page.launch(**IN_PROCESS, **more)
        got = [httpx.get(f"{url}assets/{path.name}", timeout=60) for path in chosen]
        answers.append([(one.status_code, one.text, one.headers["content-type"]) for one in got])
        page.close(verbose=False)
        kept = ["immutable" in one.headers.get("cache-control", "") for one in got]
        assert kept == [bool(more)] * 2
    assert answers[0] == answers[1]
