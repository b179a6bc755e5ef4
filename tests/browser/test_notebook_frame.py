"""A run in a notebook cell, in a real browser: alive inside, closed to the outside."""

from playwright.sync_api import expect

from tests.browser.conftest import PAINTED, WAIT
from tests.view.fakes import fake_trace, merged, stage

EVIL = '"></iframe><script>parent.document.title = "taken"</script>'
REACH = "() => { try { return parent.document.title; } catch (error) { return 'closed'; } }"


def test_the_frame_answers_the_pointer_and_reaches_nothing_outside(browser):
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url))
    trace = fake_trace(6, 6, ("a", EVIL), prompt=EVIL, stages=(stage(merged(36, 5), EVIL),))
    page.set_content(f"<title>notebook</title>{trace._repr_html_()}")
    (frame,) = [frame for frame in page.frames if frame != page.main_frame]
    frame.wait_for_function(PAINTED, timeout=WAIT)
    frame.locator("canvas").first.hover()
    expect(frame.get_by_text("token ").first).to_be_visible()
    assert frame.evaluate(REACH) == "closed"
    assert page.title() == "notebook"
    assert [trouble for trouble in troubles if not trouble.startswith(("data:", "about:"))] == []
    page.close()
