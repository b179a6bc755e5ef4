"""The page says its chosen language before Gradio's scripts run; other answers stay as they are."""

import json
import shutil
import subprocess

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.testclient import TestClient
from starlette.middleware import Middleware

from components.i18n import language_script
from components.server.chosen_language import ChosenLanguage
from components.widgets.early import early_html

NODE = shutil.which("node")
BROWSER = """
const ask = (browser, kept) => {
  const navigator = { language: browser };
  const localStorage = { getItem: () => kept };
  const document = { write: (text) => (document.text = text), text: "", cookie: "" };
  (0, eval)(`(navigator, localStorage, document) => { ${SCRIPT} }`)(
    navigator, localStorage, document,
  );
  return [navigator.language, document.text.match(/texts.(..)/)?.[1] ?? ""];
};
console.log(JSON.stringify(ASKED.map((one) => ask(...one))));
"""
PAGE = (
    "<html><head><script>window.gradio_config = {}</script></head><body>é"
    "<gradio-app></gradio-app></body></html>"
)


@pytest.fixture
def client():
    app = FastAPI(middleware=[Middleware(ChosenLanguage)])
    app.get("/")(lambda: HTMLResponse(PAGE))
    app.get("/other")(lambda: HTMLResponse("<html><head></head></html>"))
    app.get("/json")(lambda: JSONResponse({"head": "<head>"}))
    return TestClient(app)


def test_the_scripts_stand_before_all_others_and_before_gradios_own_part(client):
    answer = client.get("/")
    script, early = f"<script>{language_script()}</script>", early_html()
    told = PAGE.replace("<head>", f"<head>{script}").replace("<gradio-app", f"{early}<gradio-app")
    assert answer.text == told
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_other_answers_are_passed_on(client):
    assert client.get("/other").text == "<html><head></head></html>"
    assert client.get("/json").json() == {"head": "<head>"}


@pytest.mark.skipif(NODE is None, reason="no node on this machine: the script was not run")
def test_gradio_is_told_a_language_that_it_has():
    """Whoever chose Chinese, or has it without a region it knows, got buttons in English."""
    told = {
        ("en-US", None): ["en-US", ""],
        ("en-US", "zh"): ["zh-CN", "zh"],
        ("zh", None): ["zh-CN", "zh"],
        ("zh-Hant-HK", None): ["zh-CN", "zh"],
        ("zh-TW", None): ["zh-TW", "zh"],
        ("zh-CN", "de"): ["de", "de"],
        ("zh-CN", "en"): ["en", ""],
        ("de-CH", "none"): ["de-CH", "de"],
        ("", None): ["en", ""],
    }
    code = f"const SCRIPT = {json.dumps(language_script())}, ASKED = {json.dumps(list(told))};"
    done = subprocess.run([NODE, "-e", code + BROWSER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == list(told.values())
