"""Six more tasks of a newcomer, as a person does them, clicks counted.

A board, a sweep, a link to an own picture, two analyses, two pictures. Those that need numbers of a
real model ask the one that ships.
"""

import re

import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from components.widgets.widget import ASSETS
from tests.browser.conftest import serve, store_examples
from tests.browser.driving import EXPLORER, answered, explorer, png, upload
from tests.browser.person import Person
from tests.components.fake_vlm import FakeVLM
from tests.view.fakes import BLUE, RED, picture

pytestmark = [pytest.mark.browser, pytest.mark.weekly]
ALLOWED = {"permissions": ["clipboard-read", "clipboard-write"]}


@pytest.fixture(scope="module")
def lab():
    if not (ASSETS / "model" / "config.json").is_file():
        pytest.skip("the embedded model is not here")
    yield from serve(Site(Settings(), StoredExamples(), Models()))


@pytest.fixture(scope="module")
def sharing(tmp_path_factory):
    home = tmp_path_factory.mktemp("sharing")
    store_examples(home)
    models = Models(load=lambda name: FakeVLM())
    yield from serve(Site(Settings(share_hours=1), StoredExamples(home), models))


def test_task_11_a_board_of_six_by_four_and_its_figure(watched, url):
    pytest.importorskip("matplotlib")
    person = Person(watched(url))
    board = person.page.locator("#tv-board")
    person.press("Fill the board")
    expect(board.locator(".tv-cell-same, .tv-cell-changed")).to_have_count(4 + 6 * 4)
    person.photograph("task_11_board")
    person.click(board.locator(".tv-figure-menu summary"))
    with person.page.expect_download() as saved:
        person.click(board.get_by_role("button", name="PDF", exact=True))
    assert saved.value.path().read_bytes().startswith(b"%PDF")
    assert person.clicks <= 3


def test_task_12_where_a_words_probability_breaks(watched, url):
    person = Person(watched(url))
    strip = person.page.locator("#tv-strip")
    person.choose(strip.get_by_label("What must hold", exact=True), "probability")
    person.press("Run the sweep")
    said = strip.locator(".tv-sweep-message")
    expect(said).to_contain_text(re.compile(r"FasterVLM: .*\d+ tokens"))
    expect(strip.locator(".tv-cell").nth(1)).to_contain_text(re.compile(r"P \d\.\d\d"))
    expect(person.page.locator("#tv-sweep-chart .js-plotly-plot")).to_be_visible()
    person.photograph("task_12_sweep")
    assert person.clicks <= 3


def test_task_13_a_link_to_a_run_on_ones_own_picture(watched, sharing):
    person = Person(watched(sharing, **ALLOWED))
    page = person.page
    upload(page, png(picture(BLUE)))
    person.clicks += 2  # the picture's box, and the file in the system's own window
    person.type(page.locator("#tv-prompt textarea"), "mine ?")
    person.press("Ask")
    answered(page, "blue")
    person.press("Copy link")
    person.press("Make a link")
    address = page.locator("#tv-explorer .tv-link").input_value()
    assert person.clicks <= 6
    other = watched(sharing, address.removeprefix(sharing))
    answered(other, "blue")
    assert explorer(other, "x.scene.payload.prompt") == "mine ?"
    person.press("Delete this link")
    expect(page.locator("#tv-explorer [data-part=message]")).to_contain_text("is deleted")
    gone = watched(sharing, address.removeprefix(sharing))
    expect(gone.locator("#tv-notice .tv-bad")).to_be_visible()


def analysed(person: Person, name: str) -> None:
    """Choose an analysis of the menu and wait for its result."""
    maps = person.page.locator("#tv-maps")
    maps.scroll_into_view_if_needed()
    menu = maps.get_by_label("Analysis", exact=True)
    expect(menu.locator(f"option[value={name}]:not([disabled])")).to_be_attached()
    person.choose(menu, name)
    expect(maps.locator(".tv-analyses-cost")).to_contain_text("pass")
    person.press("Make this map")
    expect(maps.locator("[data-part=result]")).to_be_visible()


@pytest.mark.slow
def test_tasks_14_and_15_a_gradient_map_and_sink_statistics(watched, lab):
    pytest.importorskip("captum")
    person = Person(watched(lab))
    maps = person.page.locator("#tv-maps")
    analysed(person, "input_gradient")
    n = explorer(person.page, "x.scene.n")
    expect(maps.locator(f"canvas[aria-label*='{n} visual tokens']")).to_be_visible()
    person.photograph("task_14_gradient_map")
    assert person.clicks <= 3
    analysed(person, "sink_statistics")
    expect(maps.locator("[data-part=title]")).to_contain_text("sinks", ignore_case=True)
    expect(person.page.locator("#tv-maps-chart .js-plotly-plot")).to_be_visible()
    person.photograph("task_15_sink_statistics")
    assert person.clicks <= 6


@pytest.mark.slow
def test_task_16_ask_about_two_pictures(watched, lab, tmp_path):
    person = Person(watched(lab))
    page = person.page
    paths = []
    for name, colour in (("red", RED), ("blue", BLUE)):
        paths.append(tmp_path / f"{name}.png")
        picture(colour).save(paths[-1])
    with page.expect_file_chooser() as chooser:
        person.press("Several pictures, or a film")
    chooser.value.set_files(paths)
    person.clicks += 1
    expect(page.locator("#tv-several img")).to_have_count(2)
    person.type(page.locator("#tv-prompt textarea"), "what can you see ?")
    person.press("Ask")
    page.wait_for_function(
        f"() => {EXPLORER}.scene.payload.images.length === 2 && {EXPLORER}.scene.n"
    )
    images = page.locator("#tv-explorer [data-part=images]")
    expect(images.locator(".tv-images-item")).to_have_count(2)
    n = explorer(page, "x.scene.n")
    expect(page.locator("#tv-explorer [data-part=facts]")).to_contain_text(f"{n} of {n}")
    person.photograph("task_16_two_pictures")
    assert person.clicks <= 4
