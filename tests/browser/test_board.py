"""The board, the menu of maps and figures in a real browser, with a fake model."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import WINDOW
from tests.browser.driving import EXPLORER, LANES, nothing_serious

pytestmark = pytest.mark.browser
WIDTH_OF_PAIR = """([least, most]) => {
  const { width } = document.querySelector(".tv-pair-frame").getBoundingClientRect();
  return width >= least && width <= most;
}"""
"""Whether the two pictures on top of each other are of such a width, in CSS pixels."""


def test_a_board_fills_is_kept_and_becomes_a_figure(watched, url):
    pytest.importorskip("matplotlib")
    page = watched(url)
    board = page.locator("#tv-board")
    board.scroll_into_view_if_needed()
    lanes = page.evaluate(f"() => JSON.stringify({LANES}.plans)")
    board.get_by_role("button", name="Fill the board").click()
    expect(board.locator(".tv-cell-same, .tv-cell-changed")).to_have_count(28)
    expect(board.locator(".tv-board-canvas[aria-label*=kept]")).to_have_count(28)
    board.locator(".tv-board-foot input").nth(1).check()
    board.locator(".tv-board-foot input").nth(6).check()
    expect(board.locator(".tv-pair")).to_be_visible()
    page.wait_for_function(WIDTH_OF_PAIR, arg=[400, 1440])
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(WIDTH_OF_PAIR, arg=[200, 390])
    page.set_viewport_size(WINDOW)
    nothing_serious(page, "#tv-board")
    with page.expect_download() as download:
        board.locator(".tv-figure-menu summary").click()
        board.get_by_role("button", name="PDF", exact=True).click()
    assert download.value.path().read_bytes().startswith(b"%PDF")
    board.get_by_role("button", name="Open").nth(5).click()
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.id.endsWith(':5')")
    assert page.evaluate(f"() => JSON.stringify({LANES}.plans)") == lanes


@pytest.mark.weekly
def test_a_map_of_the_menu_lies_over_the_picture(watched, url):
    page = watched(url)
    maps = page.locator("#tv-maps")
    maps.scroll_into_view_if_needed()
    menu = maps.get_by_label("Analysis", exact=True)
    expect(menu.locator("option:not([disabled])").first).to_be_attached()
    menu.select_option("attention")
    expect(maps.locator(".tv-analyses-cost")).to_contain_text("at once")
    maps.get_by_role("button", name="Make this map").click()
    expect(maps.locator("canvas[aria-label*='36 visual tokens']")).to_be_visible()
    maps.locator(".tv-result-rows .tv-word", has_text="dog").click()
    expect(maps.locator(".tv-result-rows [aria-pressed=true]")).to_have_count(1)
