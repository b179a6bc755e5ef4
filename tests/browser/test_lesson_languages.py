"""A lesson in another language: its texts, and what lasts when the language is switched."""

import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import serve
from tests.browser.driving import EXPLORER, explorer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shipped():
    """The page with the examples and lessons that ship with it, and a model that is never asked."""

    def refuse(name):
        raise AssertionError("no lesson here needs a model")

    yield from serve(Site(Settings(), StoredExamples(), Models(load=refuse)))


def switch(page, language: str) -> None:
    """Choose another language; the page loads again."""
    page.locator("#tv-display").click()
    with page.expect_navigation():
        page.get_by_role("dialog").get_by_label(language).click()
    page.wait_for_function("() => window.__tokviz?.explorers.some((x) => x.look && x.scene)")


@pytest.mark.weekly
def test_switching_the_language_keeps_the_step_and_the_answer(watched, shipped):
    page = watched(shipped, "?lesson=02-attention&step=1")
    text, choices = page.locator("#tv-lesson-text"), page.locator("#tv-lesson-choices")
    expect(text).to_contain_text("1 of 3: One word, one layer")
    choices.get_by_text("in some layers, not in others").click()
    switch(page, "Deutsch")
    expect(text).to_contain_text("1 von 3: Ein Wort, eine Schicht")
    expect(choices.get_by_label("in manchen Schichten, in anderen nicht")).to_be_checked()
    assert page.evaluate("window.location.search") == "?lesson=02-attention&step=1"
    page.locator("#tv-lesson-check button, button#tv-lesson-check").click()
    expect(page.locator("#tv-lesson-verdict")).to_contain_text("Richtig. In Schicht 6")
    page.locator("#tv-lesson-next button, button#tv-lesson-next").click()
    expect(text).to_contain_text("2 von 3")
    page.locator("#tv-lesson-number input").fill("12")
    switch(page, "中文")
    expect(text).to_contain_text("第 2 步，共 3 步")
    expect(page.locator("#tv-lesson-number input")).to_have_value("12")
    expect(page.locator("#tv-lessons-title")).to_have_text("课程")


@pytest.mark.weekly
def test_switching_the_language_keeps_the_way_back_from_a_lesson(watched, shipped):
    """Twice, since the second page has to hand over what it got from the first."""
    page = watched(shipped, "?example=scene_1")
    before = "example-scene_1:-1"
    page.wait_for_function(f"() => {EXPLORER}.scene?.payload.id === {before!r}")
    page.get_by_role("button", name="Lessons", exact=True).click()
    page.locator("#tv-lesson-menu input").click()
    page.locator("#tv-lessons [role=option]").nth(1).click()
    expect(page.locator("#tv-lesson-text")).to_contain_text("1 of")
    back = page.locator("#tv-resume button, button#tv-resume")
    for language, said in (("Deutsch", "Zurück zu meiner Arbeit"), ("中文", "返回我的工作")):
        switch(page, language)
        expect(back).to_have_text(said)
        assert page.evaluate("window.location.search") == "?example=scene_1"
        assert explorer(page, "x.scene.payload.id") != before
    back.click()
    page.wait_for_function(f"() => {EXPLORER}.scene?.payload.id === {before!r}")
    expect(back).to_be_hidden()


@pytest.mark.weekly
def test_switching_the_language_keeps_the_runs_of_this_visit(watched, url):
    page = watched(url)
    page.locator("#tv-prompt textarea").fill("what is my own ?")
    page.locator("#tv-ask-go").click()
    expect(page.locator("#tv-history li")).to_have_count(1)
    shown = explorer(page, "x.scene.payload.id")
    switch(page, "Español")
    expect(page.locator("#tv-history li")).to_have_count(1)
    page.wait_for_function(f"() => {EXPLORER}.scene?.payload.id === {shown!r}")
    expect(page.locator("#tv-prompt textarea")).to_have_value("what is my own ?")
    page.reload()  # what was taken over is there once
    page.wait_for_function("() => window.__tokviz?.explorers.some((x) => x.look && x.scene)")
    expect(page.locator("#tv-history li")).to_have_count(0)


@pytest.mark.weekly
def test_the_picture_box_shows_what_a_lesson_is_about(watched, shipped):
    page = watched(shipped, "?lesson=01-visual-tokens")
    box = page.locator("#tv-picture img")
    expect(box).to_be_visible()
    assert "scene_2.png" in box.get_attribute("src")
    page.wait_for_function("() => document.querySelector('#tv-picture img').naturalWidth > 0")
