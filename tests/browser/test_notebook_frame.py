"""A run in a notebook cell, in a real browser: alive inside, closed to the outside."""

import numpy as np
from playwright.sync_api import expect

from tests.browser.conftest import PAINTED, WAIT
from tests.view.fakes import fake_trace, merged, stage

EVIL = '"></iframe><script>parent.document.title = "taken"</script>'
FITS = """() => document.querySelector("iframe").getBoundingClientRect().height !==
  Number(document.querySelector("iframe").getAttribute("height"))"""
INSIDE = """part => {
  const root = document.documentElement, element = document.querySelector(part);
  return root.scrollHeight <= innerHeight && element.scrollHeight <= element.clientHeight + 1 &&
    element.getBoundingClientRect().bottom <= innerHeight; }"""
REACH = "() => { try { return parent.document.title; } catch (error) { return 'closed'; } }"


def test_the_frame_answers_the_pointer_and_reaches_nothing_outside(browser):
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url))
    words = ("a", EVIL, *[f" word{number}" for number in range(150)])
    trace = fake_trace(
        6, 6, words, prompt=f"{EVIL} {'what ' * 150}", stages=(stage(merged(36, 5), EVIL),)
    )
    page.set_content(f"<title>notebook</title>{trace._repr_html_()}")
    (frame,) = [frame for frame in page.frames if frame != page.main_frame]
    frame.wait_for_function(PAINTED, timeout=WAIT)
    page.wait_for_function(FITS)
    for part in (".tv-question", "canvas", ".tv-words"):
        assert frame.evaluate(INSIDE, part), part
    frame.locator("canvas").first.hover()
    expect(frame.get_by_text("token ").first).to_be_visible()
    assert frame.evaluate(REACH) == "closed"
    assert page.title() == "notebook"
    assert [trouble for trouble in troubles if not trouble.startswith(("data:", "about:"))] == []
    page.close()


def test_a_layer_that_did_not_fit_is_drawn_by_its_nearest_and_says_so(browser, monkeypatch):
    trace = fake_trace(6, 6)
    monkeypatch.setattr("tokviz.view.overlay_maps.ROOM", 2 * trace.t * trace.n)
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.set_content(trace._repr_html_())
    (frame,) = [frame for frame in page.frames if frame != page.main_frame]
    frame.wait_for_function(PAINTED, timeout=WAIT)
    drawn = "layer => { const { scene, view } = window.__tokviz.explorers[0];"
    drawn += " return [...scene.values({ ...view, layer })]; }"
    every = trace["attention"].astype(np.float32).mean(0)
    for layer, sent in ((0, 0), (2, 2), (3, 2)):
        np.testing.assert_allclose(frame.evaluate(drawn, layer), every[sent], rtol=0.02, atol=1e-3)
    frame.locator("[role=slider]").first.press("ArrowRight")
    expect(frame.get_by_text("The picture shows layer 2:")).to_be_visible()
    page.close()
