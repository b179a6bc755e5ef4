"""The page in other languages: its own texts, what the server says, and the charts."""

import json

import pytest
from playwright.sync_api import expect

from components.i18n import NUMBERS, VERBATIM, said, told_sentences
from tests.browser.conftest import PAINTED
from tests.browser.driving import ask

pytestmark = pytest.mark.browser

EVEN = said("zh")["Keep tokens spread evenly over the grid."]

PSEUDO = """() => {
  const strange = (text) => typeof text === "string" ? `⟦${text}⟧` : undefined;
  const table = new Proxy({}, {
    get: (_, text) => strange(text), ownKeys: () => ["x"],
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: "" }),
  });
  Object.defineProperty(globalThis, "__tokvizTexts", { get: () => table, set: () => {} });
  globalThis.__tokvizTold = TOLD;
  globalThis.__tokvizFields = FIELDS;
  globalThis.__tokvizSaid = Object.fromEntries(SAID.map((text) => [text, strange(text)]));
}"""
"""A language in which every text of the tables stands between brackets."""
OUTSIDE = """() => {
  const own = ".tv-word, .tv-question, .tv-historyopen b, .tv-answer, .tv-card span, " +
    ".tv-detail q, " +
    ".tv-facts, .tv-options p, option, h1, kbd, .tv-strip, .tv-board-method, " +
    ".tv-lane .tv-figures";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const { data, parentElement } = walker.currentNode;
    if (!/[a-z]{3}/.test(data) || !parentElement.closest(".tv, .tv-header, .tv-title")) continue;
    if (parentElement.closest(own) || parentElement.closest("script, style")) continue;
    if (!parentElement.checkVisibility({ visibilityProperty: true })) continue;
    if (!/[⟦⟧]/.test(data)) found.push(data.trim());
  }
  return found;
}"""
"""Texts of the page that are not from the tables; names, answers and what the server says apart."""


def test_no_text_of_the_widgets_is_outside_the_tables(browser, url):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    fields = {"numbers": NUMBERS, "verbatim": VERBATIM}
    given = {"TOLD": told_sentences(), "FIELDS": fields, "SAID": list(said("de"))}
    script = PSEUDO
    for name, value in given.items():
        script = script.replace(name, json.dumps(value), 1)
    context.add_init_script(f"({script})()")
    page = context.new_page()
    page.goto(url)
    page.wait_for_function("() => window.__tokviz?.explorers.some((x) => x.look && x.scene)")
    page.locator("#tv-explorer .tv-morebox summary").click()
    found = page.evaluate(OUTSIDE)
    context.close()
    assert not found, "\n".join(found)


def test_a_chinese_browser_gets_charts_and_menus_in_chinese(watched, url):
    page = watched(url, locale="zh-CN")
    page.locator("#tv-charts").scroll_into_view_if_needed()
    charts = page.locator(".js-plotly-plot .gtitle")
    expect(charts.nth(0)).to_have_text("每层对图像的注意力")
    expect(charts.nth(1)).to_have_text("模型对每个词的把握")
    expect(page.locator(".js-plotly-plot .xtitle").first).to_have_text("层")
    menu = page.locator("#tv-lanes select.tv-method").first
    expect(menu.locator("option[value=uniform]")).to_have_attribute("title", EVEN)
    more = page.locator("#tv-maps")
    more.scroll_into_view_if_needed()
    expect(more.locator("option[value=rollout]")).to_have_text("注意力展开")


@pytest.mark.weekly
def test_a_refusal_is_said_in_the_language_that_was_chosen(watched, url):
    page = watched(url)
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_label("Español").click()
    expect(page.locator("#tv-ask-go")).to_have_text("Preguntar")
    page.wait_for_function(PAINTED)  # until then the page grows, and moves what was scrolled to
    page.locator("#tv-charts").scroll_into_view_if_needed()
    expect(page.locator(".js-plotly-plot .gtitle").first).to_have_text(
        "Atención a la imagen, por capa"
    )
    ask(page, None, "   ")
    notice = page.locator("#tv-show .tv-notice, .tv-notice").first
    expect(notice).to_contain_text("escriba una pregunta sobre la imagen")


def test_an_english_page_asks_for_no_texts(browser, url):
    page = browser.new_context().new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.wait_for_function("() => window.__tokviz?.explorers.some((x) => x.look && x.scene)")
    assert not [one for one in asked if "/texts/" in one]
    page.context.close()


OUTSIDE_THEIR_BOX = """() => {
  const page = document.documentElement;
  const found = page.scrollWidth > page.clientWidth ? [`page ${page.scrollWidth}`] : [];
  for (const box of document.querySelectorAll(".tv-lane, .tv-options, .tv-sweep, .tv-board")) {
    const { right } = box.getBoundingClientRect();
    for (const node of box.querySelectorAll("select, button, label, input, summary, dd, p")) {
      if (!node.checkVisibility({ visibilityProperty: true })) continue;
      const own = node.getBoundingClientRect();
      if (own.right > right + 1 && !node.closest(".tv-scroll, table"))
        found.push(`${box.className}: ${node.outerHTML.slice(0, 90)}`);
    }
  }
  return found;
}"""
"""Parts that reach beyond the lane, the form or the page that they are in."""


@pytest.mark.parametrize(
    ("width", "locale"),
    [
        (390, "es-ES"),
        *(
            pytest.param(*each, marks=pytest.mark.weekly)
            for each in [
                (1366, "de-DE"), (390, "de-DE"), (390, "zh-CN"), (1366, "es-ES"), (1366, "zh-CN"),
            ]
        ),
    ],
)  # fmt: skip
def test_longer_words_stay_in_their_boxes(watched, url, locale, width):
    """In Spanish a menu was wider than a phone; in German the options left their lane."""
    page = watched(url, locale=locale)
    page.set_viewport_size({"width": width, "height": 844})
    for form in page.locator("#tv-lanes details.tv-options > summary").all():
        form.click()
    page.wait_for_timeout(100)
    assert page.evaluate(OUTSIDE_THEIR_BOX) == []
