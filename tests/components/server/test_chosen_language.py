"""The page says its chosen language before Gradio's scripts run; other answers stay as they are."""

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.testclient import TestClient
from starlette.middleware import Middleware

from components.i18n import language_script
from components.server.chosen_language import ChosenLanguage

PAGE = "<html><head><script>window.gradio_config = {}</script></head><body>é</body></html>"


@pytest.fixture
def client():
    app = FastAPI(middleware=[Middleware(ChosenLanguage)])
    app.get("/")(lambda: HTMLResponse(PAGE))
    app.get("/other")(lambda: HTMLResponse("<html><head></head></html>"))
    app.get("/json")(lambda: JSONResponse({"head": "<head>"}))
    return TestClient(app)


def test_the_script_stands_before_all_others(client):
    answer = client.get("/")
    script = f"<head><script>{language_script()}</script>"
    assert answer.text == PAGE.replace("<head>", script, 1)
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_other_answers_are_passed_on(client):
    assert client.get("/other").text == "<html><head></head></html>"
    assert client.get("/json").json() == {"head": "<head>"}
