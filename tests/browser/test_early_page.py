"""The first example is drawn before Gradio has built the page, and then is a part of that page."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import PAINTED, WAIT, serve, store_examples
from tests.browser.driving import EXPLORER, explorer, pixels, token_point
from tests.view.fakes import fake_trace
from tokviz import METHODS

pytestmark = pytest.mark.browser

BUILDER = "**/assets/Blocks-*.js"
"""The script of Gradio's that builds the page; without it nothing of the page is there."""
DRAWN = "() => window.__tokviz?.explorers.some((x) => x.painter.stillLook)"
BUILT = "document.querySelectorAll('#tv-main').length"
CANVAS = ".tv-explorer .tv-frame canvas"
PLACES = """() => [".tv-header", ".tv-explorer", ".tv-frame canvas", ".tv-side"].map((part) => {
  const { x, y, width, height } = document.querySelector(part).getBoundingClientRect();
  return [x, y, width, height];
})"""
"""Left, top, width and height of the header and of parts of the viewer, in CSS pixels."""


class Held:
    """A page that is not built yet; `go` builds it."""

    def __init__(self, page: Page) -> None:
        self.page, self.waiting = page, []
        page.route(BUILDER, lambda route: self.waiting.append(route))

    def go(self) -> None:
        """Let Gradio build the page, and wait until that is done."""
        for route in self.waiting:
            route.continue_()
        self.page.wait_for_function(PAINTED)


@contextmanager
def held(browser: Browser, address: str, script: str = "", **options) -> Iterator[Held]:
    """Open a page that Gradio cannot build yet; no error may have been logged at the end."""
    context = browser.new_context(**{"viewport": {"width": 1366, "height": 768}, **options})
    context.add_init_script(script)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    troubles: list[str] = []
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    one = Held(page)
    with page.expect_request(BUILDER):
        page.goto(address)
    yield one
    context.close()
    assert not troubles


def test_the_first_example_answers_before_gradio_has_built_the_page(browser, url):
    with held(browser, url) as early:
        page = early.page
        page.wait_for_function(DRAWN)
        assert page.evaluate(BUILT) == 0
        assert pixels(page, CANVAS).std() > 1
        page.mouse.move(*token_point(page, 14, CANVAS))
        expect(page.locator(".tv-tip")).to_be_visible()
        page.locator(".tv-word").nth(1).click()
        page.get_by_role("button", name="Python", exact=True).click()
        chosen, places = explorer(page, "[...x.view.words]"), page.evaluate(PLACES)

        early.go()
        assert page.locator(".tv-explorer").count() == 1
        assert page.locator("#tv-explorer .tv-explorer").count() == 1
        assert page.locator(".tv-early").count() == 0
        assert page.evaluate(PLACES) == [pytest.approx(one, abs=1) for one in places]
        assert explorer(page, "[...x.view.words]") == chosen
        # what was pressed before has reached the server
        expect(page.locator(".tv-code")).to_contain_text("tokviz")
        page.mouse.move(2, 2)
        page.mouse.move(*token_point(page, 20))
        expect(page.locator("#tv-explorer [data-part=token] h2")).to_have_text("Token 20")
        expect(page.locator("#tv-examples .tv-card").first).to_have_attribute(
            "aria-current", "true"
        )
        page.locator("#tv-examples .tv-card").nth(1).click()
        page.wait_for_function(f"() => {EXPLORER}.scene.payload.answer === 'yes'")


KEPT = "sessionStorage.setItem('tokviz-next-language', JSON.stringify({ search: '' }));"
"""What the page leaves in the tab when another language is chosen: it may hold another run."""


@pytest.mark.parametrize(
    ("query", "script"),
    [("?example=tile", ""), ("?shared=abc", ""), ("?lesson=02-attention&step=2", ""), ("", KEPT)],
)
def test_what_may_open_on_something_else_shows_nothing_early(browser, url, query, script):
    with held(browser, url + query, script) as late:
        assert late.page.evaluate("window.__tokviz.explorers.length") == 0
        assert late.page.locator(".tv-early").count() == 0
        if "tile" in query:
            late.go()
            late.page.wait_for_function(f"() => {EXPLORER}.scene.payload.answer === 'yes'")
            assert late.page.locator(".tv-explorer").count() == 1


@pytest.mark.weekly
@pytest.mark.parametrize("width", [360, 390, 700, 850, 1001, 1920, 2400])
@pytest.mark.parametrize("locale", ["en-US", "de-DE", "zh-CN", "es-ES"])
def test_nothing_moves_when_gradio_takes_over(browser, url, width, locale):
    size = {"width": width, "height": 900}
    with held(browser, url, viewport=size, locale=locale) as early:
        early.page.wait_for_function(DRAWN)
        places = early.page.evaluate(PLACES)
        early.go()
        assert early.page.evaluate(PLACES) == [pytest.approx(one, abs=1) for one in places]


LONG = "which of the things around the red square is the nearest, and which would you see first ?"


@pytest.mark.parametrize("width", [390, 1366])
def test_a_note_and_a_long_question_have_their_place_early(
    browser, tmp_path, vlm, monkeypatch, width
):
    monkeypatch.setitem(METHODS.broken, "a_plugin_with_a_long_name", "ImportError: no")
    store_examples(tmp_path)
    fake_trace(6, 6, prompt=LONG).save(tmp_path / "traces" / "square.safetensors")
    site = Site(Settings(), StoredExamples(tmp_path), Models(load=lambda name: vlm))
    served = serve(site)
    with held(browser, next(served), viewport={"width": width, "height": 900}) as early:
        early.page.wait_for_function(DRAWN)
        expect(early.page.locator(".tv-early-left-out")).to_contain_text(
            "a_plugin_with_a_long_name"
        )
        places = early.page.evaluate(PLACES)
        early.go()
        assert early.page.evaluate(PLACES) == [pytest.approx(one, abs=1) for one in places]
    next(served, None)


COLOURS = """() => {
  const style = (part) => getComputedStyle(document.querySelector(part));
  const sheet = document.querySelector(".tv-early") ? ".tv-early" : "gradio-app";
  return [style(sheet).backgroundColor, style(".tv-lead").color, style(".tv-header h1").color]
    .map((colour) => colour.match(/[0-9]+/g).slice(0, 3).map(Number));
}"""
"""Red, green and blue of the background, of the line above the picture and of the title."""


@pytest.mark.weekly
@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("kept", ["", "light", "dark"])
@pytest.mark.parametrize("asked", ["", "light", "dark"])
def test_it_is_as_dark_as_the_page_will_be(browser, url, system, kept, asked):
    script = f"localStorage.setItem('tokviz-theme', '{kept}');" if kept else ""
    query = f"?__theme={asked}" if asked else ""
    with held(browser, url + query, script, color_scheme=system) as early:
        early.page.wait_for_function(DRAWN)
        seen = early.page.evaluate(COLOURS)
        early.go()
        assert early.page.evaluate(COLOURS) == seen
        assert (sum(seen[0]) > 3 * 128) == ((asked or kept or system) != "dark")


@pytest.mark.weekly
@pytest.mark.parametrize(
    "failure",
    [
        "Document.prototype.createRange = () => { throw new Error('no'); };",
        "Object.defineProperty(window, '__tokviz', { get: () => window.own, set: (own) => {"
        " window.own = own; own.drawEarly = () => { throw new Error('no'); }; } });",
    ],
)
def test_without_it_the_page_is_built_as_before(browser, url, failure):
    page = browser.new_page()
    page.set_default_timeout(WAIT)
    page.add_init_script(failure)
    page.goto(url)
    page.wait_for_function(PAINTED)
    page.mouse.move(*token_point(page, 14))
    expect(page.locator("#tv-explorer [data-part=token] h2")).to_have_text("Token 14")
    page.close()
