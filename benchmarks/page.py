"""The page in a real Chromium: from opening, and from a moving hand, to painted pixels."""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import painting
from benchmarks.table import Row

OPENINGS = 5
STARTS = 5
START_SECONDS = 300
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
)
PAINTED = """() => window.__tokviz?.explorers.some(
  ({ painter, parts }) => painter.stillLook && parts.canvas.checkVisibility())"""
"""The viewer's own canvas is in the page, and its overlay is drawn."""
BUILT = "() => !window.__tokviz.isEarly"
"""Gradio has built the page around the viewer."""


def rows() -> Iterator[Row]:
    """Serve the page, open it, move things; yield one row per measurement."""
    browser_path = find_chromium()
    if browser_path is None:
        yield Row("page", "not measured", f"no {', '.join(BROWSERS)} on this machine")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        yield from cold_start(browser)
        yield from warm(browser)
        browser.close()


def cold_start(browser: Browser) -> Iterator[Row]:
    """Start the server in a fresh process and open the page as soon as it answers, in turns with
    a process that only imports Gradio."""
    starts = [start_once(browser) for _ in range(STARTS)]
    drawn, ratios = (
        [start.drawn for start in starts],
        [start.drawn / start.bare for start in starts],
    )
    up, bare = (
        statistics.median(getattr(start, name) for start in starts) for name in ("up", "bare")
    )
    how = (
        f"fresh process, no model yet, until the canvas is drawn; median of {STARTS}, "
        f"{min(drawn):.1f} to {max(drawn):.1f} s; it answers after {up:.1f} s"
    )
    yield Row("cold start to first overlay", f"{statistics.median(drawn):.1f} s", how)
    how = (
        f"the same over a process that only imports gradio ({bare:.1f} s), "
        f"in turns; median of {STARTS}, {min(ratios):.2f} to {max(ratios):.2f}"
    )
    yield Row("cold start / import gradio", f"{statistics.median(ratios):.2f} x", how)
    ratios = [start.server_cpu / start.bare_cpu for start in starts if start.server_cpu]
    if ratios:
        bare = statistics.median(start.bare_cpu for start in starts)
        how = (
            f"the server's over that of a process that only imports gradio ({bare:.1f} s), both "
            f"without the browser; median of {STARTS}, {min(ratios):.2f} to {max(ratios):.2f}"
        )
        yield Row(
            "cold start / import gradio, processor time", f"{statistics.median(ratios):.2f} x", how
        )


@dataclass
class Start:
    """The seconds of one start and of `import gradio` just before it."""

    bare: float
    "Until a process that only imports gradio has ended."
    up: float
    "Until the server answers."
    drawn: float
    "Until the first overlay is drawn."
    bare_cpu: float
    "Processor time of the process that only imports gradio."
    server_cpu: float | None
    "Processor time of the server until the overlay is drawn; None where it is not known."


def start_once(browser: Browser) -> Start:
    """Import gradio in one process, then start the server in another and open its page."""
    began, used = time.perf_counter(), children_cpu()
    subprocess.run([sys.executable, "-c", "import gradio"], check=True)
    bare, bare_cpu = time.perf_counter() - began, children_cpu() - used
    with tempfile.TemporaryDirectory() as empty:
        context = browser.new_context()
        page = context.new_page()
        began = time.perf_counter()
        with started(HF_HOME=empty) as (address, process):
            up = time.perf_counter() - began
            first_overlay(page, address)
            drawn = time.perf_counter() - began
            context.close()
            return Start(bare, up, drawn, bare_cpu, cpu_of(process.pid))


def children_cpu() -> float:
    """Return the processor time of all child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def cpu_of(pid: int) -> float | None:
    """Return the processor time of a process that runs; None on systems other than Linux."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.is_file():
        return None
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def warm(browser: Browser) -> Iterator[Row]:
    """Measure a server that is up."""
    with served() as address:
        _, *opened = [visit(browser, address) for _ in range(OPENINGS + 1)]
        how = f"median of {OPENINGS} visits with an empty cache, until the canvas is drawn"
        yield Row("page open to first overlay", f"{statistics.median(opened):.2f} s", how)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        first_overlay(page, address)
        page.wait_for_function(BUILT)
        yield from painting.rows(page)


def visit(browser: Browser, address: str) -> float:
    """Open the page as a new visitor, wait for the first overlay, leave; return the seconds."""
    context = browser.new_context()
    seconds = first_overlay(context.new_page(), address)
    context.close()
    return seconds


def first_overlay(page: Page, address: str) -> float:
    """Return the seconds from asking for the page to the first drawn overlay."""
    page.goto(address, wait_until="commit")
    page.wait_for_function(PAINTED, timeout=60_000)
    return page.evaluate("performance.now()") / 1000


def find_chromium() -> str | None:
    """Return TOKVIZ_CHROMIUM, or the first known browser on PATH, or None."""
    named = os.environ.get("TOKVIZ_CHROMIUM")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def served(**more: str) -> Iterator[str]:
    """Run app.py on a free port with further settings; yield its address once it answers."""
    with started(**more) as (address, _):
        yield address


@contextmanager
def started(**more: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """As `served`; yield the process, too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    settings = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "app.py"], env=os.environ | settings | more)
    try:
        await_answer(process, address)
        yield address, process
    finally:
        process.terminate()
        process.wait(20)


def await_answer(process: subprocess.Popen, address: str) -> None:
    """Wait until the server answers; raise SystemExit when it does not."""
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        if process.poll() is not None:
            raise SystemExit(f"app.py ended with status {process.returncode}")
        try:
            urlopen(f"{address}healthz", timeout=2).close()
        except (URLError, OSError):
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"app.py did not answer within {START_SECONDS} s")
