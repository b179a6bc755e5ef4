"""The page in a real Chromium: from opening, from a slider and from the pointer to painted pixels.

Slider and pointer events are sent inside the page and timed there until the canvas has been drawn,
so the wait for the next frame is in the number and the browser's remote control is not.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.table import Row, spread
from tokviz.layout import Layout, Tile
from tokviz.trace import Trace, layout_arrays

OPENINGS = 5
MOVES = 60
START_SECONDS = 120
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
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
PAINTED = "() => window.__tokviz && window.__tokviz.paints > 0"
AT_REST = """() => {
  const T = window.__tokviz, still = T.paints === T.paintsBefore;
  T.paintsBefore = T.paints;
  return still && document.querySelector(".tv-explorer [data-part=canvas]");
}"""
TIMED = """async ([kind, moves]) => {
  const T = window.__tokviz, times = [], draws = [];
  const part = (name) => document.querySelector(`.tv-explorer [data-part=${name}]`);
  const slider = part("keep"), canvas = part("canvas");
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const box = canvas.getBoundingClientRect();
  for (let i = 0; i < moves; i++) {
    await frame();
    const before = T.paints, share = (i + 0.5) / moves, began = performance.now();
    if (kind === "slider") {
      slider.value = Math.round(+slider.min + share * (slider.max - slider.min));
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    } else {
      const clientX = box.left + share * box.width;
      const clientY = box.top + (i % 2 ? 0.3 : 0.6) * box.height;
      canvas.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX, clientY }));
    }
    for (let waited = 0; T.paints === before && waited < 60; waited++) await frame();
    if (T.paints === before) continue;
    times.push(performance.now() - began);
    draws.push(T.lastDrawMs);
  }
  return [times, draws];
}"""


def rows() -> Iterator[Row]:
    """Serve the page, open it, move things; yield one row per measurement."""
    browser_path = find_chromium()
    if browser_path is None:
        yield Row("page", "not measured", f"no {', '.join(BROWSERS)} on this machine")
        return
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        opened = [visit(browser, address) for _ in range(OPENINGS)]
        how = f"median of {OPENINGS} fresh visits, until the canvas is drawn"
        yield Row("page open to first overlay", f"{statistics.median(opened):.2f} s", how)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        first_overlay(page, address)
        page.wait_for_function(AT_REST, polling=500, timeout=60_000)
        yield from moves(page, "")
        for side in (24, 64):
            show_grid(page, side)
            yield from moves(page, f", {side} × {side} tokens")
        browser.close()


def moves(page: Page, where: str) -> Iterator[Row]:
    """Move the slider and the pointer; yield how long each took to be painted."""
    for kind, what in (("slider", "keep slider to paint"), ("pointer", "hover to paint")):
        times, draws = page.evaluate(TIMED, [kind, MOVES])
        if not times:
            raise SystemExit(f"no {kind} move painted anything")
        how = f"{len(times)} moves, drawing alone {statistics.median(draws):.1f} ms"
        yield Row(what + where, spread(times), f"median; {how}")


def show_grid(page: Page, side: int) -> None:
    """Open a trace with side x side tokens, 32 layers and 8 words in the page."""
    with TemporaryDirectory() as home:
        path = Path(home) / "grid.safetensors"
        grid_trace(side).save(path)
        page.locator("#tv-ask > input[type=file]").set_input_files(path)
        shown = f"() => window.__tokviz.explorers[0].scene.n === {side * side}"
        page.wait_for_function(shown, timeout=60_000)
        page.wait_for_function(AT_REST, polling=500, timeout=60_000)


def grid_trace(side: int, layers: int = 32, words: int = 8) -> Trace:
    """Return a trace of random attention on a square grid."""
    n, rng = side * side, np.random.default_rng(0)
    attention = rng.random((words, layers, n)) / n
    layout = Layout(
        sizes=((side * 14, side * 14),),
        tiles=(Tile(0, side, side, (0.0, 0.0, side * 14.0, side * 14.0)),),
        tile=np.zeros(n, np.int16),
        row=np.repeat(np.arange(side), side).astype(np.int16),
        col=np.tile(np.arange(side), side).astype(np.int16),
        kind=np.zeros(n, np.uint8),
        position=np.arange(1, n + 1, dtype=np.int32),
    )
    return Trace(
        prompt="?",
        answer="w" * words,
        model={"name": "random", "layers": layers},
        layout=layout,
        prompt_tokens=("<s>", *["<image>"] * n),
        answer_tokens=tuple("w" * words),
        arrays=layout_arrays(layout) | {"attention": attention.astype(np.float16)},
    )


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
def served() -> Iterator[str]:
    """Run app.py on a free port; yield its address once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    settings = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "app.py"], env=os.environ | settings)
    try:
        await_answer(process, address)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def await_answer(process: subprocess.Popen, address: str) -> None:
    """Wait until the page answers; raise SystemExit when it does not."""
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        if process.poll() is not None:
            raise SystemExit(f"app.py ended with status {process.returncode}")
        try:
            urlopen(address, timeout=2).close()
        except (URLError, OSError):
            time.sleep(0.3)
        else:
            return
    raise SystemExit(f"app.py did not answer within {START_SECONDS} s")
