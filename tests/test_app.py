"""The program itself, as a container starts and stops it."""

import json
import signal
import threading
import time

import gradio as gr
import pytest
from gradio_client import Client, handle_file

import app
from components.settings import load_options, read_settings
from tests.serving import PATIENT, ROOT, serving

pytestmark = pytest.mark.slow

SLOW = """
import tokviz
from tests.components.fake_vlm import FakeVLM
vlm = FakeVLM(steps=100_000)
vlm.pause = 0.02
tokviz.load = lambda place, **options: vlm
import app
app.main()
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKVIZ_QUEUE", "many"),
        ("TOKVIZ_MAX_NEW_TOKENS", "0"),
        ("TOKVIZ_AUTH", "ann"),
        ("TOKVIZ_MODELS", " , "),
    ],
)
def test_a_setting_that_cannot_be_used_ends_the_program_with_a_sentence(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"{name} must be"):
        read_settings()


def test_reload_mode_gets_the_page_and_starts_no_second_server():
    """`gradio app.py` runs the file again in a thread, then takes `demo` for the new page."""
    assert isinstance(app.demo, gr.Blocks)
    again = threading.Thread(target=app.main)
    again.start()
    again.join(10)
    assert not again.is_alive()


def test_tools_are_not_offered_where_one_has_to_sign_in(monkeypatch):
    """An MCP client cannot sign in, and Gradio leaves its lists open to everybody."""
    monkeypatch.setenv("TOKVIZ_AUTH", "ann:secret")
    monkeypatch.setenv("TOKVIZ_MCP", "1")
    with pytest.raises(SystemExit, match="cannot be used with TOKVIZ_AUTH"):
        read_settings()


def test_names_and_passwords_are_read(monkeypatch):
    monkeypatch.setenv("TOKVIZ_AUTH", "ann:a:b, ben:c")
    assert read_settings().auth == (("ann", "a:b"), ("ben", "c"))


def test_a_server_that_is_told_to_stop_hands_over_what_it_has(tmp_path):
    """The answer that is being written ends and arrives, who waits is told, status 0, no files."""
    picture = handle_file(ROOT / "assets/examples/scene_1.png")
    with serving("-c", SLOW, TMPDIR=str(tmp_path)) as server:
        client = Client(server.address, verbose=False, httpx_kwargs=PATIENT)
        jobs = []
        for state in ("PROCESSING", "IN_QUEUE"):
            jobs.append(
                client.submit(image=picture, prompt="what ?", details=True, api_name="/answer")
            )
            while (found := jobs[-1].status().code.name) != state:
                assert found != "FINISHED", jobs[-1].result()
                time.sleep(0.05)
        running, waiting = jobs
        server.process.send_signal(signal.SIGTERM)
        assert running.result(60)["full"]["tokens"]
        assert "about to stop" in waiting.result(60)["error"]
        text, _ = server.process.communicate(timeout=120)
    assert server.process.returncode == 0, text
    assert "Traceback" not in text
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert "stopping" in [line["message"] for line in lines]
    assert [line["outcome"] for line in lines if line["message"] == "run"] == ["stopped", "refused"]
    assert not list(tmp_path.glob("tokviz-uploads-*"))


def test_how_models_are_loaded_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("TOKVIZ_BITS", "4")
    monkeypatch.setenv("TOKVIZ_DEVICE_MAP", "auto")
    assert load_options() == {"bits": 4, "device_map": "auto"}
