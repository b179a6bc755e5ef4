"""A person at his own machine chooses a model, and finds it chosen the next day."""

import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import PAINTED, serve, store_examples
from tests.components.fake_vlm import FakeVLM


@pytest.fixture(scope="module")
def own_url(tmp_path_factory):
    """A page for one person at this machine."""
    home = tmp_path_factory.mktemp("assets")
    store_examples(home)
    models = Models(load=lambda place: FakeVLM(), personal=True)
    yield from serve(Site(Settings(), StoredExamples(home), models))


def test_a_model_is_written_into_the_list_loaded_and_remembered(watched, own_url, tmp_path):
    own = tmp_path / "my-llava"
    own.mkdir()
    page = watched(own_url)
    box, card = page.locator("#tv-model input"), page.locator("#tv-model-card")
    expect(card).to_contain_text("needs no network")
    box.fill(str(own))
    box.press("Enter")
    expect(card).to_contain_text("On this machine.")
    expect(box).to_have_value("my-llava")
    page.locator("#tv-model-fetch").click()
    expect(page.locator("#tv-notice")).to_contain_text("The model is loaded.")
    expect(card).to_contain_text("In memory.")
    page.reload()
    page.wait_for_function(PAINTED)
    expect(box).to_have_value("my-llava")
    box.fill("no such <img src=x onerror=alert(1)>")
    box.press("Enter")
    expect(page.locator("#tv-notice")).to_contain_text("A model is the id of one on the Hub")
    expect(box).to_have_value("Embedded model · 0.1 GB")
