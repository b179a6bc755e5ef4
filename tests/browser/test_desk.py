"""Keep sweep and hallucination desk in a real browser, with a fake model."""

import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from components.widgets.widget import ASSETS
from tests.browser.conftest import serve
from tests.browser.driving import EXPLORER, LANES

pytestmark = pytest.mark.browser


def test_the_smallest_keep_is_found_and_its_run_opened(watched, url):
    page = watched(url)
    strip = page.locator("#tv-strip")
    lanes = page.evaluate(f"() => JSON.stringify({LANES}.plans)")
    while strip.locator("select.tv-method").count() > 1:
        strip.get_by_role("button", name="Leave").first.click()
    strip.locator("select.tv-method").select_option("visionzip")
    strip.get_by_role("button", name="Run the sweep").click()
    expect(strip.locator(".tv-sweep-message")).to_contain_text(
        "Smallest keep that holds the answer"
    )
    cells = strip.locator(".tv-cell")
    keep = int(cells.nth(3).locator("b").inner_text())
    cells.nth(3).click()
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.stages[0]?.left === {keep}")
    assert page.evaluate(f"() => JSON.stringify({LANES}.plans)") == lanes


@pytest.mark.weekly
def test_the_baselines_run_beside_the_methods_of_a_sweep(watched, url):
    page = watched(url)
    strip = page.locator("#tv-strip")
    while strip.locator("select.tv-method").count() > 1:
        strip.get_by_role("button", name="Leave").first.click()
    strip.get_by_label("baseline: a smaller picture").check()
    strip.get_by_label("baseline: without the picture").check()
    strip.get_by_role("button", name="Run the sweep").click()
    said = strip.locator(".tv-sweep-message")
    expect(said).to_contain_text("Smaller picture:")
    expect(said).to_contain_text("Without the picture P ")
    expect(strip.get_by_role("region", name="Budgets of Smaller picture")).to_be_visible()
    chart = page.locator("#tv-sweep-chart .js-plotly-plot")
    expect(chart).to_contain_text("without the picture")
    expect(chart).to_contain_text("Smaller picture")
    strip.get_by_label("baseline: a smaller picture").uncheck()
    strip.get_by_label("baseline: without the picture").uncheck()
    strip.get_by_role("button", name="Run the sweep").click()
    expect(strip.locator("section h3")).to_have_count(1)
    expect(said).not_to_contain_text("Without the picture")


@pytest.fixture(scope="module")
def real_url():
    if not (ASSETS / "model" / "config.json").is_file():
        pytest.skip("the embedded model is not here")
    yield from serve(Site(Settings(), StoredExamples(), Models()))


@pytest.mark.slow
def test_a_real_mistake_is_examined_forced_and_saved(watched, real_url):
    page = watched(real_url, "?example=mistake_1")
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.example === 'mistake_1'")
    desk = page.locator("#tv-desk")
    desk.get_by_role("button", name="Examine this answer").click()
    other = desk.locator(".tv-candidates li", has_text="Force").first
    word = other.locator("span").first.inner_text()
    other.get_by_role("button", name="Force").click()
    expect(desk.locator(".tv-outcome").first).to_contain_text(f"“{word}” forced")
    desk.get_by_role("button", name="What must be removed to change it?").click()
    expect(desk.locator("[data-part=tokens] .tv-outcome")).to_contain_text("answers written in")
    with page.expect_download() as saved:
        desk.get_by_role("button", name="Save this case").click()
    assert "<script" not in saved.value.path().read_text("utf-8")
