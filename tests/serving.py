"""app.py in a process of its own, as a container starts it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
IN_PROCESS: dict[str, Any] = {
    "server_name": "127.0.0.1",
    "prevent_thread_lock": True,
    "quiet": True,
    "_frontend": False,
}
"""How a page is launched in the test's own process. With `_frontend` Gradio asks its page once and
raises after 3 s of silence, which a busy machine does not keep; the program does the same."""


PATIENT = {"timeout": 60}
"""How long Gradio's client waits (`httpx_kwargs`); its own 5 s fail on a busy machine."""


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process, self.port = process, port
        self.address = f"http://127.0.0.1:{port}"

    def await_health(self) -> None:
        """Wait until it answers."""
        for _ in range(900):
            try:
                with urlopen(f"{self.address}/healthz", timeout=5) as answer:
                    assert answer.status == 200
                    return
            except (URLError, ConnectionError, TimeoutError):
                assert self.process.poll() is None, self.process.stdout.read()
                time.sleep(0.2)
        raise AssertionError("the server did not come up")


def serving(*program: str, **settings: str) -> AbstractContextManager[Server]:
    """Run app.py, or another program, with settings in its environment until the block ends."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TOKVIZ_LOG": "json", **settings}
    return started([sys.executable, *(program or ("app.py",))], ROOT, env)


@contextmanager
def started(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[Server]:
    """Run a command that serves the page, on a free port, until the block ends."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    process = subprocess.Popen(
        command, cwd=folder, env={**env, "GRADIO_SERVER_PORT": str(port)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    server = Server(process, port)
    try:
        server.await_health()
        yield server
    finally:
        process.kill()
        process.wait()
