"""nginx with the documented file (deploy/nginx.conf) in front of a server."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

DOCUMENTED = Path(__file__).parents[1] / "deploy/nginx.conf"
AROUND = """
daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
  uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
  include {home}/site.conf;
}}
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextmanager
def nginx(home: Path, port: int, **changed: str) -> Iterator[int]:
    """Run nginx in front of a port; yield its own port.

    Args:
        home: a folder for its files.
        port: of the server behind it.
        changed: directives of the documented file with another value, so that tests need not wait.
    """
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        pytest.skip("nginx is not installed: how the server behaves behind it was not tried")
    front = free_port()
    site = replaced(
        DOCUMENTED.read_text(),
        {"listen": f"127.0.0.1:{front}", "proxy_pass": f"http://127.0.0.1:{port}", **changed},
    )
    (home / "site.conf").write_text(site)
    (home / "nginx.conf").write_text(AROUND.format(home=home))
    process = subprocess.Popen([program, "-c", str(home / "nginx.conf"), "-p", str(home)])
    try:
        await_port(front, process, home)
        yield front
    finally:
        process.terminate()
        process.wait(20)


def replaced(text: str, values: Mapping[str, str]) -> str:
    """Return a configuration with some directives' values replaced; each must be there once."""
    lines = text.splitlines()
    for name, value in values.items():
        (at,) = [i for i, line in enumerate(lines) if line.split()[:1] == [name]]
        lines[at] = f"{name} {value};"
    return "\n".join(lines) + "\n"


def await_port(port: int, process: subprocess.Popen, home: Path) -> None:
    """Wait until nginx listens."""
    for _ in range(100):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, (home / "error.log").read_text()
        time.sleep(0.1)
    raise AssertionError("nginx did not come up")
