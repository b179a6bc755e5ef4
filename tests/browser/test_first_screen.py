"""What a person meets first: how much there is, one message at a time, one gesture to rub out."""

import re

import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.runs import FULL
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from components.widgets.widget import ASSETS
from tests.browser.conftest import serve
from tests.browser.driving import (
    EXPLORER,
    answered,
    ask,
    explorer,
    nothing_serious,
    settled,
    token_point,
)

pytestmark = pytest.mark.browser

CONTROLS = """() => {
  const kinds = "button, input, select, textarea, summary, a[href], canvas[tabindex], [role=slider]";
  const seen = [...document.querySelectorAll(kinds)].filter((node) => {
    if (node.disabled || !node.checkVisibility({ visibilityProperty: true })) return false;
    const { top, bottom, left, right, width } = (node.closest(".tv-map") || node).getBoundingClientRect();
    const hides = getComputedStyle(node).opacity === "0" && !node.closest(".tv-map");
    return width && !hides && top < innerHeight && bottom > 0 && left < innerWidth && right > 0;
  });
  return seen.filter((node) => !node.matches(".tv-word"))
    .map((node) => node.getAttribute("aria-label") || node.value || node.textContent);
}"""  # noqa: E501
"""What can be pressed, chosen or typed into inside the window; words of the answer apart: they are
one stop of the Tab key together."""


@pytest.fixture(scope="module")
def stored():
    if not (ASSETS / "traces" / "index.json").is_file():
        pytest.skip("no stored examples")
    return StoredExamples()


@pytest.fixture(scope="module")
def shipped(stored):
    def refuse(name):
        raise AssertionError("the first screen needs no model")

    yield from serve(Site(Settings(), stored, Models(load=refuse)))


@pytest.fixture(scope="module")
def first(stored):
    """The first example: its trace, what it holds, and another token, a word that comes once."""
    example = next(iter(stored.all.values()))
    trace = example.run.traces[FULL]
    texts = [piece.strip() for piece in trace.pieces]
    held = [texts[word] for word in example.view["words"]]
    others = [t for t in texts if t.isalpha() and len(t) > 2 and texts.count(t) == 1]
    return trace, held, next(text for text in others if text not in held)


def test_the_first_screen_says_something_with_thirty_controls(watched, shipped, first):
    trace, suggested, other = first
    page = watched(shipped)
    page.set_viewport_size({"width": 1366, "height": 800})
    found = page.evaluate(CONTROLS)
    assert len(found) + 1 <= 30, found
    lead = page.locator("#tv-explorer .tv-lead")
    expect(lead).to_contain_text(f"“{suggested[0]}")
    held = page.locator("#tv-explorer .tv-word[aria-pressed=true]")
    expect(held).to_have_text(suggested)
    word = page.locator("#tv-explorer .tv-word", has_text=re.compile(f"^{other}$"))
    settled(page, word.click)
    expect(held).to_have_text([other])  # what the example held was a suggestion
    facts = page.locator("#tv-explorer [data-part=facts]")
    all_of_them = f"{trace.n} of {trace.n} tokens"
    expect(facts).to_contain_text(f"saw the whole picture · nothing removed, {all_of_them}")


@pytest.mark.weekly
def test_parts_of_the_model_show_their_view_and_their_lesson(watched, shipped, first):
    page = watched(shipped)
    trace, *_ = first
    (tile,), model = trace.layout.tiles, trace.model
    parts = page.locator("#tv-explorer .tv-pipeline")
    expect(parts).to_contain_text(f"{tile.rows} × {tile.cols} of {model['patch_size']} px")
    expect(parts).to_contain_text(f"{trace.n} tokens of {model['hidden_size']}")
    settled(page, parts.get_by_role("button", name="Vision tower").click)
    assert explorer(page, "x.view.map") == "tower"
    settled(page, parts.get_by_role("button", name="Patches").click)
    assert explorer(page, "x.look.norm === null && x.look.patches")
    parts.get_by_role("button", name="Lesson about this").click()
    expect(page.locator("#tv-lesson-text")).to_contain_text("A picture becomes a row of tokens")
    expect(page.locator("#tv-explorer .tv-frame.tv-highlight")).to_be_in_viewport()
    page.get_by_role("button", name="Back to my work").click()
    expect(page.locator(".tv-highlight")).to_have_count(0)


def test_the_picture_is_about_one_thing_at_a_time(watched, url):
    page = watched(url)
    page.get_by_role("button", name="Open in the viewer: visionzip").click()
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.lane === 1")
    drawn = "[Boolean(x.look.norm), Boolean(x.look.roles), Boolean(x.look.tints)]"
    assert explorer(page, drawn) == [False, True, True]
    choose = page.locator("#tv-explorer [data-part=messages]")
    settled(page, lambda: choose.get_by_text("Kept, merged, pruned").click())
    assert explorer(page, drawn) == [False, True, False]
    settled(page, lambda: choose.get_by_text("Map", exact=True).click())
    assert explorer(page, drawn) == [True, False, False]


@pytest.mark.weekly
def test_a_drag_over_the_picture_rubs_out_and_nothing_moves(watched, url, vlm):
    page = watched(url)
    below = page.locator("#tv-explorer [data-part=more]")
    before = below.bounding_box()
    page.mouse.move(*token_point(page, 14))
    page.mouse.down()
    page.mouse.move(*token_point(page, 16), steps=6)
    page.mouse.up()
    expect(page.locator(".tv-count")).to_have_text("21 of 36 tokens are in.")
    assert below.bounding_box() == pytest.approx(before, abs=1)
    page.get_by_role("button", name="Ask again with exactly these").click()
    expect(page.locator(".tv-brush-message")).to_contain_text(
        "With 21 tokens: “red dog.” Same answer as with all tokens."
    )
    assert len(vlm.asked[-1][-1][-1].steps[0].reduction.kept) == 21


def test_runs_of_a_visit_are_cards(watched, url):
    page = watched(url)
    cards = page.locator("#tv-history .tv-historycards li")
    ask(page, None, "first ?")
    expect(cards).to_have_count(1)
    ask(page, None, "second ?")
    expect(cards).to_have_count(2)
    cards.nth(1).locator(".tv-historyopen").click()
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.prompt === 'first ?'")
    expect(page.locator("#tv-prompt textarea")).to_have_value("first ?")
    cards.first.locator("input[type=text]").fill("the second")
    cards.first.locator("input[type=text]").press("Enter")
    expect(cards.first.locator(".tv-question")).to_have_text("the second")
    cards.first.get_by_role("button", name="Delete").click()
    expect(cards).to_have_count(1)
    page.get_by_role("button", name="Undo the last change").click()
    expect(cards).to_have_count(2)
    for box in cards.locator("input[type=checkbox]").all():
        box.check()
    nothing_serious(page, "#tv-history")
    page.get_by_role("button", name="Compare the chosen").click()
    expect(page.locator("#tv-lanes .tv-lane").nth(1)).to_contain_text("own question")


def test_keys_theme_and_language(watched, url):
    page = watched(url)
    page.keyboard.press("?")
    box = page.get_by_role("dialog")
    expect(box).to_contain_text("Move over the tokens")
    nothing_serious(page, ".tv-display")
    box.get_by_role("radio", name="dark").click()
    expect(page.locator("body.dark")).to_have_count(1)
    box.get_by_label("Deutsch").click()
    expect(page.locator("#tv-ask-go")).to_have_text("Fragen")
    expect(page.locator("body.dark")).to_have_count(1)
    expect(page.locator("#tv-explorer .tv-lead")).to_contain_text("wohin das Modell sah")


@pytest.mark.weekly
def test_the_picture_zooms_in_its_frame(watched, url):
    page = watched(url)
    frame = page.locator("#tv-explorer .tv-scroll")
    before = frame.bounding_box()
    page.locator("#tv-explorer .tv-frame canvas").focus()
    settled(page, lambda: page.keyboard.press("+"))
    after = frame.bounding_box()
    assert (after["width"], after["height"]) == (before["width"], before["height"])
    assert explorer(page, "x.painter.width") > 1.4 * before["width"]
    page.mouse.move(*token_point(page, 14))
    page.wait_for_function(f"() => {EXPLORER}.view.hover === 14")
    settled(page, lambda: page.keyboard.press("0"))
    assert explorer(page, "x.painter.width") == pytest.approx(before["width"], abs=1)


def test_a_phone_sees_word_and_picture_together(watched, url):
    page = watched(url)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(f"() => {EXPLORER}.width <= 390")
    top = page.locator("#tv-picture").bounding_box()["y"]
    assert top < page.locator("#tv-explorer .tv-frame").bounding_box()["y"]
    page.locator("#tv-explorer [data-part=bars]").scroll_into_view_if_needed()
    expect(page.locator("#tv-explorer .tv-frame canvas")).to_be_in_viewport()
    page.locator("#tv-explorer .tv-word").first.scroll_into_view_if_needed()
    expect(page.locator("#tv-explorer .tv-frame canvas")).to_be_in_viewport(ratio=0.9)
    answered(page, "dog")


BESIDE = """() => {
  const side = document.querySelector("#tv-lessons").getBoundingClientRect();
  return [...document.querySelectorAll("#tv-main .tv *, .tv-header *")]
    .filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > side.left + 1)
    .map((node) => node.outerHTML.slice(0, 90));
}"""
"""Parts of the page that lie under the sidebar."""


@pytest.mark.weekly
def test_a_presented_lesson_covers_nothing(watched, shipped):
    page = watched(shipped, "?lesson=02-attention")
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.locator("#tv-present").click()
    expect(page.locator("#tv-lesson-text")).to_contain_text("1 of 3")
    page.wait_for_timeout(600)  # the sidebar slides in
    assert page.evaluate(BESIDE) == []
    for part in ("canvas", "words", "bars"):
        expect(page.locator(f"#tv-explorer [data-part={part}]")).to_be_in_viewport()
