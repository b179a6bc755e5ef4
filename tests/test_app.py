"""The program itself, as a container starts and stops it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import app

ROOT = Path(__file__).parents[1]


def environment(**settings):
    return {**os.environ, "TOKVIZ_LOG": "json", **settings}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("TOKVIZ_QUEUE", "many"), ("TOKVIZ_MAX_NEW_TOKENS", "0"), ("TOKVIZ_AUTH", "ann")],
)
def test_a_setting_that_cannot_be_used_ends_the_program_with_a_sentence(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"{name} must be"):
        app.read_settings()


def test_names_and_passwords_are_read(monkeypatch):
    monkeypatch.setenv("TOKVIZ_AUTH", "ann:a:b, ben:c")
    assert app.read_settings().auth == (("ann", "a:b"), ("ben", "c"))


def test_the_server_comes_up_well_and_stops_when_told_to():
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=environment(GRADIO_SERVER_PORT=str(port)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert health(port, server) == 200
        server.send_signal(signal.SIGTERM)
        text, _ = server.communicate(timeout=60)
    finally:
        server.kill()
    assert server.returncode == 0, text
    assert '"message": "stopping"' in text
    assert "Traceback" not in text


def health(port, server):
    """Wait until the server answers; return its status."""
    for _ in range(600):
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                return answer.status
        except (URLError, ConnectionError):
            assert server.poll() is None, server.stdout.read()
            time.sleep(0.2)
    return None
