"""Every text that a stranger can bring is shown as text: nothing runs, nothing leaves."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.server.lifecycle import app_kwargs
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import PAINTED, WAIT, foreign, serve, store_examples
from tests.browser.driving import EXPLORER, answered, ask, explorer, png, token_point
from tests.components.fake_vlm import FakeVLM
from tests.view.fakes import BLUE, fake_trace, picture, pruned, stage

pytestmark = pytest.mark.browser
MARKUP = (
    "<img src=x onerror='window.__xss=1'><script>window.__xss=2</script>"
    "<svg onload='window.__xss=3'></svg></script><script>window.__xss=4</script>"
    "<iframe srcdoc='<script>parent.__xss=5</script>'></iframe>"
    "<img src='http://evil.example/pixel.png'><style>@import 'http://evil.example/a.css';</style>"
)
"""Elements that act on their own."""
BREAKOUT = "\"'><img src=x onerror=window.__xss=6> ${window.__xss=7} {{window.__xss=8}} `\\u003c"
"""Ends of attributes, strings and templates."""
MARKDOWN = "[go](javascript:window.__xss=9) ![p](http://evil.example/q.png) <b onclick=alert(1)>"
CORPUS = {"markup": MARKUP, "breakout": BREAKOUT, "markdown": MARKDOWN}
LESSON = f"""---
title: "Lesson {MARKDOWN}"
minutes: 3
---
{MARKUP}

## Step {BREAKOUT}

{MARKUP} {BREAKOUT} {MARKDOWN}

```task
ask: "{MARKDOWN} <img src=x onerror='window.__xss=1'>"
choose: ["<img src=x onerror='window.__xss=1'>", two]
right: 1
why: "<img src=x onerror='window.__xss=1'>"
```
"""


def evil_trace(text: str):
    """A run whose every text is hostile."""
    words = (f" {text}", text, "</textarea></title>" + text)
    trace = fake_trace(6, 6, words, prompt=f"prompt {text}", stages=(stage(pruned(36, 9), text),))
    return replace(
        trace,
        answer=text,
        model={**trace.model, "name": text, "device": text, "dtype": text, "family": text},
        notes=(text, f"note {text}"),
        prompt_tokens=tuple(text if t == "USER:" else t for t in trace.prompt_tokens),
        candidate_tokens=tuple((text, f"other {text}") for _ in words),
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A page whose examples, lessons and models are hostile too."""
    home = tmp_path_factory.mktemp("assets")
    store_examples(home)
    (home / "lessons").mkdir()
    (home / "lessons" / "01-evil.md").write_text(LESSON)
    name = "\"'><img src=x onerror=window.__xss=10>"
    evil_trace(MARKUP).save(home / "traces" / f"{name}.safetensors")
    models = Models(("fake", MARKUP), load=lambda name: FakeVLM())
    site = Site(Settings(models=("fake", MARKUP)), StoredExamples(home), models)
    yield from serve(site, app_kwargs=app_kwargs(site))


@pytest.fixture
def guarded(browser, hostile):
    """Opens pages; at the end nothing ran in them and nothing was asked of another host."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    troubles: list[str] = []

    def stopped_by_policy(request) -> None:
        """The browser announces such a request and does not send it."""
        if request.url in troubles and request.failure == "csp":
            troubles.remove(request.url)

    def open_page(address: str):
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("dialog", lambda dialog: (troubles.append("a dialog opened"), dialog.dismiss()))
        page.on("request", lambda r: troubles.append(r.url) if foreign(r.url, hostile) else None)
        page.on("requestfailed", stopped_by_policy)
        page.goto(address)
        return page

    yield open_page
    for page in context.pages:
        if page.evaluate("window.__xss") is not None:
            troubles.append(f"a script ran: {page.evaluate('window.__xss')}")
    context.close()
    assert not troubles


def opened(page):
    page.wait_for_function(PAINTED)
    return page


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" ".join(CORPUS.values()), id="all"),
        *(pytest.param(v, id=k, marks=pytest.mark.weekly) for k, v in CORPUS.items()),
    ],
)
def test_no_text_of_a_trace_runs(guarded, hostile, tmp_path, text):
    page = opened(guarded(hostile))
    path = tmp_path / "\"'><img src=x onerror=window.__xss=11>.safetensors"
    trace = evil_trace(text)
    trace.save(path)
    page.locator("#tv-ask > input[accept*=safetensors]").set_input_files(path)
    # the first example has the prompt of one of the files
    shown = (
        f"(text) => {EXPLORER}.scene.payload.prompt === text && !{EXPLORER}.scene.payload.example"
    )
    page.wait_for_function(shown, arg=trace.prompt)
    expect(page.locator("#tv-explorer .tv-question")).to_have_text(trace.prompt)
    # by key: the first word fills several lines, and its middle may lie in a gap of them
    page.locator("#tv-explorer .tv-word").first.press("Enter")
    expect(page.locator("#tv-explorer .tv-detail")).to_contain_text("instead")
    page.mouse.move(*token_point(page, 0))
    expect(page.locator("#tv-explorer .tv-tip")).to_be_visible()
    page.get_by_role("button", name="Python", exact=True).click()
    expect(page.locator(".tv-code")).to_contain_text("tokviz")
    assert (
        page.locator(
            "#tv-explorer img:not(.tv-swatch), #tv-lanes img:not(.tv-swatch), #tv-explorer script"
        ).count()
        == 0
    )
    page.locator(".tv-menu summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Web page", exact=True).click()
    saved = tmp_path / "saved.html"
    download.value.save_as(saved)
    alone = guarded(saved.as_uri())
    alone.wait_for_function("() => window.__tokviz?.paints > 0")
    assert trace.prompt in alone.locator("body").inner_text()


@pytest.mark.weekly
def test_no_prompt_file_name_model_or_example_runs(guarded, hostile):
    page = opened(guarded(hostile))
    for text in CORPUS.values():
        name = "\"'><img src=x onerror=window.__xss=12>.png"
        ask(page, png(picture(BLUE)), text, name=name)
        answered(page, "blue")
        expect(page.locator("#tv-explorer .tv-question")).to_have_text(text)
        expect(page.locator("#tv-stop")).to_be_disabled()  # an Ask during a run is not taken
    page.locator("#tv-model input").click()
    page.get_by_role("option").nth(1).click()
    expect(page.locator("#tv-model input")).to_have_value(MARKUP)
    ask(page, None, "which ?")
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.prompt === 'which ?'")
    answered(page, "blue")
    page.locator("#tv-examples .tv-card", has_text="prompt <img").click()
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.example.includes('onerror')")
    address = explorer(page, "x.panel.share.address()")
    again = opened(guarded(address))
    again.wait_for_function(f"() => {EXPLORER}.scene.payload.example.includes('onerror')")


@pytest.mark.weekly
def test_no_lesson_runs(guarded, hostile):
    page = opened(guarded(f"{hostile}?lesson=01-evil&step=1"))
    expect(page.locator("#tv-lesson-text h3")).to_contain_text("Step")
    page.locator("#tv-lesson-choices label").first.click()
    page.locator("#tv-lesson-check").click()
    expect(page.locator("#tv-lesson-verdict")).to_contain_text("✅")
    acting = "#tv-lessons [onerror], #tv-lessons script, #tv-lessons iframe"
    assert page.locator(acting).count() == 0
    assert page.locator("#tv-lessons a[href^='javascript']").count() == 0
