"""The whole main job with the model that ships: upload, ask, look, compare, ask again."""

import numpy as np
import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from components.widgets.widget import ASSETS
from embedded.habit_exam import held_out
from tests.browser.conftest import serve, store_examples
from tests.browser.driving import EXPLORER, ask, every_cell, explorer, pixels, png, settled

MODEL = ASSETS / "model" / "config.json"
N, LAYERS = 576, 12
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not MODEL.is_file(), reason="the embedded model is not here"),
]


@pytest.fixture(scope="module")
def real_url(tmp_path_factory):
    home = tmp_path_factory.mktemp("assets")
    store_examples(home)
    yield from serve(Site(Settings(), StoredExamples(home), Models()))


def finished(page, prompt: str) -> None:
    """Wait until the explorer shows the finished answer to a question."""
    script = f"""(prompt) => {{ const x = {EXPLORER}, p = x.scene.payload;
        return p.n === {N} && p.prompt === prompt; }}"""
    page.wait_for_function(script, arg=prompt)


@pytest.mark.weekly
def test_the_main_job(watched, real_url):
    page = watched(real_url)
    (view,) = held_out(1)
    ask(page, png(view.image), "describe the image .")
    finished(page, "describe the image .")
    assert explorer(page, "x.scene.words.length") >= 3
    assert explorer(page, "x.scene.layers") == LAYERS
    drawn = pixels(page)
    cells = [cell.mean((0, 1)) for cell in every_cell(page, drawn)]
    assert np.std(cells, axis=0).max() > 5

    settled(page, page.locator("#tv-explorer .tv-word").nth(1).click)
    settled(page, page.locator("#tv-explorer .tv-map", has_text="[CLS]").click)
    assert explorer(page, "x.view.map") == "tower"
    settled(page, page.locator("#tv-explorer .tv-map", has_text="Token map").click)
    assert explorer(page, "x.range.high") > 0

    lanes = page.locator("#tv-lanes .tv-lane")
    lanes.nth(3).get_by_role("button", name="Remove").click()
    lanes.nth(1).locator("input[type=range]").first.fill(str(N // 4))
    lanes.nth(2).locator("select.tv-method").select_option("visionzip")
    page.locator("#tv-lanes .tv-primary").click()
    expect(lanes.nth(1).locator("tr", has_text="visual tokens")).to_contain_text("25 % of full")
    expect(lanes.nth(2).locator("tr", has_text="total time")).to_contain_text("timed once")
    there = "(n) => window.__tokviz.lanes[0].columns[2].picture.scene?.n === n"
    page.wait_for_function(there, arg=N)
    assert_fates_are_drawn(page, 1)
    expect(lanes.nth(2).locator(".tv-legend")).to_contain_text("merged")

    page.locator("#tv-prompt textarea").fill("is there a dog ?")
    page.locator("#tv-ask-go").click()
    finished(page, "is there a dog ?")
    assert explorer(page, "x.scene.payload.answer") in ("yes", "no", "yes .", "no .")


def assert_fates_are_drawn(page, lane: int) -> None:
    """Pruned tokens are darker than kept ones and textured, kept ones look like the picture."""
    owner = f"window.__tokviz.lanes[0].columns[{lane}].picture"
    fates = page.evaluate(f"() => Array.from({owner}.scene.fatesAt(null))")
    assert fates.count(0) == N // 4
    assert fates.count(2) == N - N // 4
    drawn = pixels(page, f"#tv-lanes .tv-lane:nth-child({lane + 1}) canvas.tv-lane-picture")
    light = {f: [] for f in (0, 2)}
    for cell, fate in zip(every_cell(page, drawn, owner), fates, strict=True):
        light[fate].append(cell.mean())
    assert np.mean(light[0]) > np.mean(light[2]) + 30
