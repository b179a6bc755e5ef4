"""Several examples in one question, and the link to it, driven by hand."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import serve
from tests.browser.driving import EXPLORER, answered, explorer
from tests.components.fake_vlm import FakeVLM
from tests.view.fakes import BLUE, RED, fake_trace, picture

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def vlm():
    return FakeVLM()


@pytest.fixture(scope="module")
def url(tmp_path_factory, vlm):
    home = tmp_path_factory.mktemp("assets")
    (home / "traces").mkdir()
    for name, colour in (("red", RED), ("blue", BLUE)):
        picture(colour).save(home / f"{name}.png")
        trace = fake_trace(6, 6, prompt=f"is it {name} ?", image=picture(colour))
        trace.save(home / "traces" / f"{name}.safetensors")
    listed = [{"name": name, "file": f"{name}.png"} for name in ("red", "blue")]
    (home / "traces/index.json").write_text(json.dumps(listed))
    yield from serve(Site(Settings(), StoredExamples(home), Models(load=lambda name: vlm)))


@pytest.mark.weekly
def test_a_link_to_a_question_about_two_examples_asks_it_again(watched, url, vlm):
    page = watched(url)
    page.get_by_role("button", name="Ask about this picture too: is it blue ?").click()
    captions = page.locator("#tv-several figcaption")
    expect(captions).to_have_text(["1. red.png", "2. blue.png"])
    page.get_by_role("button", name="Move back picture 1").click()
    expect(captions).to_have_text(["1. blue.png", "2. red.png"])
    pictures = page.locator("#tv-several figure")
    pictures.nth(0).drag_to(pictures.nth(1))
    expect(captions).to_have_text(["1. red.png", "2. blue.png"])
    pictures.nth(1).drag_to(pictures.nth(0))
    expect(captions).to_have_text(["1. blue.png", "2. red.png"])
    page.locator("#tv-prompt textarea").fill("which ?")
    page.locator("#tv-ask-go").click()
    answered(page, "blue dog.")
    address = explorer(page, "x.panel.share.address()")
    assert parse_qs(urlsplit(address).query)["example"] == ["blue,red"]
    asked = len(vlm.asked)
    again = watched(url, f"?{urlsplit(address).query}")
    answered(again, "blue dog.")
    again.wait_for_function(f"() => {EXPLORER}.scene.payload.prompt === 'which ?'")
    assert len(vlm.asked) > asked
    assert len(vlm.shown) == 2
    assert explorer(again, "x.panel.share.address()").split("?")[1] == address.split("?")[1]
