"""The frames of a film: what each keeps, one alone in the viewer and in every lane, and playing."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import serve
from tests.browser.driving import EXPLORER, LANES, explorer, settled, token_point
from tests.view.fakes import stage, tiled_trace
from tokviz.matrix import Reduction
from tokviz.trace import open_trace

STORED = Path(__file__).parents[2] / "assets" / "traces"
FRAMES = "#tv-explorer .tv-images-item"


@pytest.fixture(scope="module")
def film_url(tmp_path_factory, vlm):
    """A page whose only example is the stored film."""
    home = tmp_path_factory.mktemp("film")
    (home / "traces").mkdir()
    for file in STORED.glob("film*.safetensors"):
        shutil.copy(file, home / "traces")
    yield from serve(Site(Settings(), StoredExamples(home), Models(load=lambda name: vlm)))


@pytest.fixture(scope="module")
def merged_url(tmp_path_factory, vlm):
    """A page with a film of two frames, of which a lane merges tokens with one another."""
    home = tmp_path_factory.mktemp("merged")
    (home / "traces").mkdir()
    trace = tiled_trace()
    trace = replace(trace, layout=trace.layout.timed([(0.0, 0.5), (1.0, 1.5)]))
    trace.save(home / "traces/film.safetensors")
    joined = [0, 4, 9]
    groups = [joined, *([i] for i in range(trace.n) if i not in joined)]
    stages = (stage(Reduction.from_groups(groups, trace.n), "tome"),)
    replace(trace, stages=stages).save(home / "traces/film--0-tome.safetensors")
    yield from serve(Site(Settings(), StoredExamples(home), Models(load=lambda name: vlm)))


def test_the_strip_tells_what_frames_keep_and_shows_one_alone_everywhere(watched, film_url):
    page = watched(film_url)
    frames = page.locator(FRAMES)
    expect(frames).to_have_count(4)
    expect(frames.first).to_contain_text(" s")
    settled(page, frames.nth(2).click)
    expect(frames.nth(2)).to_have_attribute("aria-pressed", "true")
    assert explorer(page, "x.painter.only") == 2
    drawn = "columns.filter((column) => column.picture.scene)"
    page.wait_for_function(f"() => {LANES}.{drawn}.length === 4")
    assert page.evaluate(f"{LANES}.{drawn}.every((column) => column.picture.painter.only === 2)")
    settled(page, lambda: page.locator("#tv-explorer .tv-images-bar input").fill("3"))
    assert explorer(page, "x.painter.only") == 3
    settled(page, page.get_by_role("button", name="All 4 frames").click)
    assert explorer(page, "x.painter.only") == -1
    page.get_by_role("button", name="Open in the viewer: evs").click()
    trace = open_trace(STORED / "film--1-evs.safetensors")
    kept = np.bincount(trace.layout.image[trace.reduction.kept], minlength=4)
    for number, count in enumerate(kept):
        expect(frames.nth(number)).to_contain_text(f"{count} of {trace.n // 4} kept")


@pytest.mark.weekly
def test_the_film_plays_and_words_stand_in_a_chart_over_its_frames(watched, film_url):
    page = watched(film_url)
    play = page.locator("#tv-explorer .tv-images-bar .tv-play")
    play.click()
    page.wait_for_function(f"() => {EXPLORER}.painter.only === 1")
    play.click()
    settled(page, page.get_by_role("button", name="All 4 frames").click)
    page.locator("#tv-explorer details:has(.tv-images-chart) summary").click()
    heads = page.locator("#tv-explorer .tv-images-chart thead th")
    expect(heads).to_have_count(5)
    page.locator("#tv-explorer .tv-images-chart tbody td").nth(3).click()
    assert explorer(page, "x.painter.only") == 3


@pytest.mark.weekly
def test_a_merged_token_shows_its_members_in_all_frames(watched, merged_url):
    page = watched(merged_url)
    settled(page, page.get_by_role("button", name="Open in the viewer: tome").click)
    lit = page.locator("#tv-explorer .tv-images-item.tv-lit")
    settled(page, lambda: page.mouse.move(*token_point(page, 0)))
    expect(lit).to_have_count(2)
    assert explorer(page, "[...x.scene.membersAt(x.view.stage).get(0)]") == [0, 4, 9]
    settled(page, lambda: page.mouse.move(*token_point(page, 1)))
    expect(lit).to_have_count(1)
