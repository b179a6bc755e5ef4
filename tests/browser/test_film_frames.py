"""The frames of a film chosen on the page: by number, by rate, by times; and the link to them."""

import json
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import serve
from tests.browser.driving import EXPLORER, answered, explorer, nothing_serious
from tests.components.fake_vlm import FakeVLM
from tests.films import clock, write_film

pytestmark = pytest.mark.browser

ASSETS = Path(__file__).parents[2] / "assets"
HOW, WHICH = "How frames are chosen", "Which frames"


@pytest.fixture(scope="module")
def vlm():
    return FakeVLM()


@pytest.fixture(scope="module")
def url(tmp_path_factory, vlm):
    """A page whose only example is the stored film, four seconds long."""
    home = tmp_path_factory.mktemp("assets")
    (home / "traces").mkdir()
    (home / "examples").mkdir()
    for file in (ASSETS / "traces").glob("film*.safetensors"):
        shutil.copy(file, home / "traces")
    shutil.copy(ASSETS / "examples/film.webp", home / "examples")
    listed = json.loads((ASSETS / "traces/index.json").read_text("utf-8"))
    film = [one for one in listed if one["name"] == "film"]
    (home / "traces/index.json").write_text(json.dumps(film))
    yield from serve(Site(Settings(), StoredExamples(home), Models(load=lambda name: vlm)))


def asks(page, vlm, prompt):
    """Ask, and return the film that the model got."""
    vlm.shown = None
    page.locator("#tv-prompt textarea").fill(prompt)
    page.locator("#tv-ask-go").click()
    page.wait_for_function(f"(text) => {EXPLORER}.scene.payload.prompt === text", arg=prompt)
    answered(page, ".")
    return vlm.shown


def typed(page, text):
    page.get_by_label(WHICH).fill(text)
    page.get_by_label(WHICH).press("Enter")


@pytest.mark.weekly
def test_frames_of_an_example_are_chosen_by_times_and_its_link_asks_about_them(watched, url, vlm):
    page = watched(url)
    frames = page.locator("#tv-several figcaption")
    expect(page.get_by_label(WHICH)).to_have_value("8")
    expect(frames).to_have_count(0)
    page.get_by_label(HOW).select_option("times")
    expect(frames).to_have_count(8)
    expect(page.get_by_label(WHICH)).to_have_value("0,0.5,1,1.5,2.25,2.75,3.25,3.75")
    typed(page, "0, 1.5; 3")
    expect(frames).to_have_text(["0.0 s", "1.5 s", "3.0 s"])
    nothing_serious(page, "#tv-ask")
    assert asks(page, vlm, "what now ?").times == (0.0, 1.5, 3.0)
    address = explorer(page, "x.panel.share.address()")
    assert parse_qs(urlsplit(address).query)["times"] == ["0,1.5,3"]
    vlm.shown = None
    again = watched(url, f"?{urlsplit(address).query}")
    again.wait_for_function(f"() => {EXPLORER}.scene.payload.prompt === 'what now ?'")
    answered(again, ".")
    assert vlm.shown.times == (0.0, 1.5, 3.0)
    expect(again.get_by_label(WHICH)).to_have_value("0,1.5,3")
    assert explorer(again, "x.panel.share.address()").split("?")[1] == address.split("?")[1]
    page.get_by_role("button", name="Remove the film").click()
    expect(page.get_by_label(WHICH)).to_have_value("8")
    expect(frames).to_have_count(0)


@pytest.mark.weekly
def test_frames_of_an_upload_are_chosen_by_rate_and_number(watched, url, vlm, tmp_path):
    page = watched(url)
    film = write_film(tmp_path / "clip.mp4", clock(40))
    page.locator("input[type=file][multiple]").set_input_files(film)
    frames = page.locator("#tv-several figcaption")
    expect(frames).to_have_count(8)
    page.get_by_label(HOW).select_option("rate")
    expect(page.get_by_label(WHICH)).to_have_value("2")
    typed(page, "1")
    expect(frames).to_have_text(["0.0 s", "1.0 s", "2.0 s", "3.0 s"])
    typed(page, "99")
    expect(page.locator("#tv-notice")).to_contain_text("at most 32 are allowed")
    expect(frames).to_have_count(4)
    assert asks(page, vlm, "what here ?").times == (0.0, 1.0, 2.0, 3.0)
    page.get_by_label(HOW).select_option("frames")
    typed(page, "2")
    expect(frames).to_have_text(["0.0 s", "3.9 s"])
    assert asks(page, vlm, "and here ?").numbers == (0, 39)
