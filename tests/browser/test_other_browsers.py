"""What other browsers, or pages without https, lack is taken from Chromium: the page goes on."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PAINTED
from tests.browser.driving import explorer

pytestmark = pytest.mark.browser

WITHOUT_FILTER = "delete CanvasRenderingContext2D.prototype.filter;"
"""Safari: a canvas pen cannot filter what it draws."""
WITHOUT_CLIPBOARD = "Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined });"
"""Every browser, when the page of another machine is served over http."""
WITHOUT_FULLSCREEN = "delete Element.prototype.requestFullscreen;"
"""iPhone: only a film can fill the screen."""
CHROMA = """(() => {
  const spread = (grey) => {
    const sheet = x.painter.pictures(grey);
    const { data } = sheet.getContext("2d").getImageData(sheet.width / 2, sheet.height / 2, 1, 1);
    return Math.max(...data.slice(0, 3)) - Math.min(...data.slice(0, 3));
  };
  return [false, true].map(spread);
})()"""
"""Largest minus smallest of red, green and blue at the middle: without a map, and below one."""


def reopened(page: Page, script: str) -> Page:
    """Open the page again in a browser that lacks something."""
    page.add_init_script(script)
    page.reload()
    page.wait_for_function(PAINTED)
    return page


def test_the_picture_below_a_map_loses_its_colours(watched, url):
    colour, grey = explorer(reopened(watched(url), WITHOUT_FILTER), CHROMA)
    assert colour > 50
    assert grey == pytest.approx(0.4 * colour, abs=4)


def test_texts_are_shown_where_nothing_can_be_copied(watched, url):
    page = reopened(watched(url), WITHOUT_CLIPBOARD)
    page.get_by_role("button", name="Python", exact=True).click()
    expect(page.locator(".tv-code")).to_contain_text("tokviz")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator(".tv-link")).to_have_value(re.compile("example="))


def test_the_whole_screen_is_offered_only_where_it_can_be_had(watched, url):
    page = watched(url)
    page.locator(".tv-zoom summary").click()
    expect(page.locator(".tv-zoomtools button")).to_have_count(4)
    reopened(page, WITHOUT_FULLSCREEN).locator(".tv-zoom summary").click()
    expect(page.locator(".tv-zoomtools button")).to_have_count(3)
