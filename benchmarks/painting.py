"""How long after a hand moves is the picture painted?

A real pointer (Chromium's own input, as a mouse sends it) hovers over the tokens, drags over the
layer bars and drags the keep slider. The clock starts when the event reaches the page and ends
when the frame that it changed has been scripted, styled, laid out and painted, so it holds all
work and not the wait for the screen's next refresh; that wait is in "since the hand moved".
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from playwright.sync_api import CDPSession, Page

from benchmarks.table import Row, spread
from tokviz.trace import Trace
from tokviz.trace.layout import Layout, Tile
from tokviz.trace.to_file import layout_arrays

MOVES = 60
PAUSE = 25
"""Milliseconds between two moves, so that each is painted by itself."""
SIDES = (24, 64)
AT_REST = """() => {
  const T = window.__tokviz, still = T.paints === T.paintsBefore;
  T.paintsBefore = T.paints;
  return still && document.querySelector(".tv-explorer [data-part=canvas]");
}"""
IN_SIGHT = """(node) => {
  node.closest("details")?.setAttribute("open", "");
  node.scrollIntoView({ block: "center" });
}"""
WATCH = """() => {
  if (window.__moves) return;
  const T = window.__tokviz, after = new MessageChannel();
  let open = null;
  window.__moves = [];
  after.port1.onmessage = () => {
    const now = performance.now();
    if (T.paints !== open.paints) window.__moves.push([now - open.began, now - open.stamp]);
    open = null;
  };
  window.addEventListener("pointermove", (event) => {
    if (open) return;
    open = { began: performance.now(), stamp: event.timeStamp, paints: T.paints };
    requestAnimationFrame(() => after.port2.postMessage(0));
  }, true);
}"""


def rows(page: Page) -> Iterator[Row]:
    """Yield hover, layers and keep slider for the run that is shown, then for larger grids."""
    yield from moved(page, "the first example")
    for side in SIDES:
        show_grid(page, side)
        yield from moved(page, f"{side} × {side} tokens")


def moved(page: Page, where: str) -> Iterator[Row]:
    """Move over the tokens, the layers and the keep slider; yield one row each."""
    page.wait_for_function(AT_REST, polling=500, timeout=60_000)
    page.evaluate(WATCH)
    steps = np.linspace(0.02, 0.98, MOVES)
    lines = {
        "hover": ("canvas", [(x, 0.3 if i % 2 else 0.6) for i, x in enumerate(steps)], False),
        "layer slider": ("bars", [(0.02 + 3.1 * x % 0.96, 0.5) for x in steps], True),
        "keep slider": ("keep", [(x, 0.5) for x in steps], True),
    }
    for what, (part, line, pressed) in lines.items():
        work, whole, processor = drag(page, part, line, pressed)
        how = (
            f"{len(work)} moves; processor time of the page's thread {processor:.1f} ms each; "
            f"since the hand moved {spread(whole)}"
        )
        yield Row(f"{what} to paint, {where}", spread(work), f"median; {how}")


def drag(
    page: Page, part: str, line: Sequence[tuple[float, float]], pressed: bool
) -> tuple[list[float], list[float], float]:
    """Move along a line over a part of the explorer.

    Returns:
        (work of each painted move, the same since the hand moved, mean processor time), in ms.
    """
    box = place(page, part)
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in line]
    page.mouse.move(*points[0])
    if pressed:
        page.mouse.down()
    page.wait_for_timeout(200)
    page.evaluate("() => { window.__moves.length = 0; }")
    thread = page.context.new_cdp_session(page)
    began = busy(thread)
    for point in points[1:]:
        page.mouse.move(*point)
        page.wait_for_timeout(PAUSE)
    page.wait_for_timeout(200)
    spent = busy(thread) - began
    thread.detach()
    moves = page.evaluate("window.__moves")
    if pressed:
        page.mouse.up()
    page.mouse.move(1, 1)
    if not moves:
        raise SystemExit(f"no move over {part} painted anything")
    work, whole = (list(column) for column in zip(*moves, strict=True))
    return work, whole, 1000 * spent / len(moves)


def place(page: Page, part: str) -> dict[str, float]:
    """Return where a part of the explorer is on the screen."""
    found = page.locator(f".tv-explorer [data-part={part}]").first
    found.evaluate(IN_SIGHT)
    box = found.bounding_box()
    if box is None:
        raise SystemExit(f"the explorer has no {part} on the screen")
    return dict(box)


def busy(thread: CDPSession) -> float:
    """Return the processor seconds that the page's main thread has spent so far."""
    thread.send("Performance.enable", {"timeDomain": "threadTicks"})
    metrics = thread.send("Performance.getMetrics")["metrics"]
    return next(m["value"] for m in metrics if m["name"] == "TaskDuration")


def show_grid(page: Page, side: int) -> None:
    """Open a trace with side x side tokens, 32 layers and 8 words in the page."""
    with TemporaryDirectory() as home:
        path = Path(home) / "grid.safetensors"
        grid_trace(side).save(path)
        page.locator("#tv-ask > input[accept*=safetensors]").set_input_files(path)
        shown = f"() => window.__tokviz.explorers[0].scene.n === {side * side}"
        page.wait_for_function(shown, timeout=60_000)


def grid_trace(side: int, layers: int = 32, words: int = 8) -> Trace:
    """Return a trace of random attention on a square grid: nothing to draw is the same twice."""
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
