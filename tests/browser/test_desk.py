"""Keep sweep and hallucination desk in a real browser, with a fake model."""

import pytest
from playwright.sync_api import expect

from tests.browser.driving import explorer

pytestmark = pytest.mark.browser


def test_the_smallest_keep_is_found_and_its_run_opened(watched, url):
    page = watched(url)
    strip = page.locator("#tv-strip")
    strip.locator("select.tv-method").select_option("visionzip")
    strip.get_by_role("button", name="Run the sweep").click()
    expect(strip.locator(".tv-sweepsaid")).to_contain_text("Smallest keep that holds the answer")
    cells = strip.locator(".tv-cell")
    keep = int(cells.nth(3).locator("b").inner_text())
    cells.nth(3).click()
    page.wait_for_function("() => window.__tokviz.lanes[0].plans.length === 1")
    expect(page.locator("#tv-lanes .tv-lane").nth(1)).to_contain_text(f"Keep {keep} of 36")
    assert explorer(page, "x.scene.payload.id").endswith(":0")
