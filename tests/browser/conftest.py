"""A page with fake stored examples and a fake model, and a real Chromium to drive it."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from components.i18n import translations
from components.page import build, theme
from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.server.lifecycle import app_kwargs
from components.settings import Settings
from components.site import Site
from components.widgets.widget import head
from tests.components.fake_vlm import FakeVLM
from tests.serving import IN_PROCESS
from tests.view.fakes import BLUE, fake_trace, merged, picture, pruned, stage

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("TOKVIZ_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
ARGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
PAINTED = """() => {
  const T = window.__tokviz;
  return T && !T.isEarly && T.explorers.some((x) => x.look && x.scene);
}"""
"""The viewer is drawn, and Gradio has built the page around it."""
WINDOW = {"width": 1440, "height": 900}
AFRESH = """async () => {
  const x = window.__tokviz.explorers[0], { paints } = window.__tokviz;
  document.activeElement.blur();
  window.scrollTo(0, 0);
  x.layerWasChosen = false;
  Object.assign(x.view, { map: "attention", head: -1, opacity: 65, scaling: "linear" });
  Object.assign(x.view, { common: false, sinks: false });
  x.begin(x.scene.payload);
  x.panel.build();
  x.update();
  while (window.__tokviz.paints === paints) await new Promise(requestAnimationFrame);
}"""
"""Puts the explorer's view back to what it is when the page opens."""
REST = """() => {
  if (window.__drawnFrames) return;
  window.__drawnFrames = window.requestAnimationFrame;
  window.__waiting = [];
  window.requestAnimationFrame = (callback) => window.__waiting.push(callback);
}"""
"""Lets no frame be drawn: Gradio animates the sign of its start for ever, unseen, on every page."""
GO_ON = """() => {
  if (!window.__drawnFrames) return;
  window.requestAnimationFrame = window.__drawnFrames;
  window.__drawnFrames = null;
  for (const callback of window.__waiting) window.requestAnimationFrame(callback);
}"""
WAIT = int(os.environ.get("TOKVIZ_TEST_WAIT", "180000"))
"""Milliseconds before a test gives up; generous, so that a busy machine does not fail it."""
expect.set_options(timeout=WAIT)


def store_examples(home) -> None:
    """Two examples: a red square with three lanes, a blue one with none."""
    traces = home / "traces"
    traces.mkdir(parents=True)
    fake_trace(6, 6).save(traces / "square.safetensors")
    lanes = [
        stage(pruned(36, 9)),
        stage(merged(36, 5), "visionzip"),
        stage(pruned(36, 18, 3), "random"),
    ]
    for number, one in enumerate(lanes):
        trace = fake_trace(6, 6, ("a", " cat", "."), stages=(one,))
        trace.save(traces / f"square--{number}.safetensors")
    blue = fake_trace(6, 6, image=picture(BLUE), prompt="is it blue ?", words=("yes",))
    blue.save(traces / "tile.safetensors")


def serve(site: Site, **more) -> Iterator[str]:
    """Serve a page on a free port until the tests are done; more goes to `launch`."""
    page = build(site)
    page.queue(max_size=16, default_concurrency_limit=4)
    _, url, _ = page.launch(
        **IN_PROCESS, theme=theme(), head=head(),
        enable_monitoring=False, run_history=False, footer_links=[], i18n=translations(),
        **{"app_kwargs": app_kwargs(site), **more},
    )  # fmt: skip
    yield url
    page.close()


@pytest.fixture(scope="session")
def vlm() -> FakeVLM:
    return FakeVLM()


@pytest.fixture(scope="session")
def site(tmp_path_factory, vlm) -> Site:
    """What is served at `url`."""
    home = tmp_path_factory.mktemp("assets")
    store_examples(home)
    return Site(Settings(), StoredExamples(home), Models(load=lambda name: vlm))


@pytest.fixture(scope="session")
def url(site) -> Iterator[str]:
    yield from serve(site)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=ARGS, timeout=WAIT)
        yield chromium
        chromium.close()


def opened(browser: Browser, url: str, query: str, troubles: list[str], **options) -> Page:
    """Open a page in a context of its own; what it logs or asks of other hosts is a trouble."""
    page = browser.new_context(viewport=WINDOW, **options).new_page()
    page.set_default_timeout(WAIT)
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: (troubles.append("a dialog opened"), dialog.dismiss()))
    page.on("request", lambda r: troubles.append(r.url) if foreign(r.url, url) else None)
    page.goto(url + query, timeout=WAIT)
    page.wait_for_function(PAINTED)
    return page


@pytest.fixture
def watched(browser) -> Iterator:
    """Opens pages; at the end none may have logged an error or asked another host."""
    troubles: list[str] = []
    pages = []

    def open_page(url: str, query: str = "", **options) -> Page:
        pages.append(opened(browser, url, query, troubles, **options))
        return pages[-1]

    yield open_page
    for page in pages:
        page.context.close()
    assert not troubles


@pytest.fixture(scope="session")
def first_screen(browser, url) -> Iterator[tuple[Page, list[str]]]:
    """The first example, opened once for all tests that only look at it."""
    troubles: list[str] = []
    page = opened(browser, url, "", troubles)
    page.evaluate(REST)
    yield page, troubles
    page.context.close()


@pytest.fixture
def page(first_screen) -> Iterator[Page]:
    """The first example as it opens; a test may change the view, nothing else. See `watched`."""
    page, troubles = first_screen
    page.evaluate(GO_ON)
    page.mouse.move(2, 2)
    page.evaluate(AFRESH)
    yield page
    page.evaluate(REST)
    found = troubles.copy()
    troubles.clear()
    assert not found


def foreign(address: str, url: str) -> bool:
    return address.startswith("http") and not address.startswith(url.rstrip("/"))
