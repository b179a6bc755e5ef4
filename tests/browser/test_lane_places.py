"""Many lanes side by side, and a page that stays where it is read when a run ends."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

LANES_AT = """() => [...document.querySelectorAll("#tv-lanes .tv-lane")].map((lane) => {
  const { left, top, right } = lane.getBoundingClientRect();
  const cut = [...lane.querySelectorAll("th, td, .tv-badge, button, h3, .tv-answer")].filter(
    (node) => node.checkVisibility() && node.getBoundingClientRect().right > right + 0.5);
  const rows = [...lane.querySelectorAll(".tv-figures td:nth-child(3):not([colspan])")].map(
    (node) => Math.round(node.getBoundingClientRect().height));
  return { left: Math.round(left), top: Math.round(top), right: Math.round(right),
    cut: cut.length, highest: Math.max(0, ...rows) };
})"""
"""Where each lane is, how much of it lies outside, and the height of its highest ratio."""
LONGEST = """() => {
  const cells = document.querySelectorAll("#tv-lanes .tv-figures td:nth-child(3):not([colspan])");
  for (const cell of cells) cell.textContent = "≈ 0.6 % of the total";
  for (const cell of cells) cell.previousElementSibling.textContent = "renumbered";
}"""
"""Gives every ratio the longest text that a real model brings, beside the longest value."""


def compare(page) -> None:
    """Run the comparison to its end."""
    page.locator("#tv-lanes .tv-primary").click()
    expect(page.locator("#tv-history .tv-historycards li")).to_have_count(1)
    expect(page.locator("#tv-lanes .tv-stop")).to_have_count(0)


@pytest.mark.weekly
def test_five_lanes_stand_side_by_side_on_a_laptop(watched, url):
    page = watched(url)
    page.set_viewport_size({"width": 1366, "height": 800})
    page.get_by_role("button", name="+ Add the baselines").click()
    lanes = page.locator("#tv-lanes .tv-lane")
    expect(lanes).to_have_count(6)
    lanes.last.get_by_role("button", name="Remove").click()
    expect(lanes).to_have_count(5)
    compare(page)
    page.evaluate(LONGEST)
    at = page.evaluate(LANES_AT)
    assert len({one["top"] for one in at}) == 1, "all in one row"
    for one, after in zip(at, at[1:], strict=False):
        assert one["right"] < after["left"]
    assert at[-1]["right"] <= 1366
    assert page.evaluate("() => document.documentElement.scrollWidth") == 1366
    assert not [one for one in at if one["cut"]]
    assert max(one["highest"] for one in at) < 80, "a ratio takes three lines at most"


def test_the_lanes_stay_where_they_are_read_when_a_run_ends(watched, url):
    page = watched(url)
    page.set_viewport_size({"width": 1366, "height": 800})
    button = page.locator("#tv-lanes .tv-primary")
    button.evaluate("(node) => window.scrollBy(0, node.getBoundingClientRect().top - 360)")
    before = button.bounding_box()["y"]
    compare(page)
    assert page.locator("#tv-lanes .tv-primary").bounding_box()["y"] == pytest.approx(before, abs=2)
