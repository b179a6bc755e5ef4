"""The main job in a real browser, with a fake model: what is drawn, what is said, what is sent."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.driving import (
    EXPLORER,
    answered,
    ask,
    cell_pixels,
    explorer,
    open_more,
    pixels,
    png,
    settled,
    token_point,
    upload,
)
from tests.view.fakes import BLUE, fake_trace, picture, pruned, stage

pytestmark = pytest.mark.browser


TOPS = "(nodes) => nodes.map((node) => node.getBoundingClientRect().top)"


def test_the_first_screen_is_an_analysed_example(watched, url):
    page = watched(url)
    expect(page.locator("#tv-explorer .tv-lead")).to_contain_text("where the model looked")
    expect(page.locator("#tv-explorer .tv-word")).to_have_count(3)
    expect(page.locator("#tv-lanes .tv-lane")).to_have_count(4)
    drawn = pixels(page)
    assert drawn.std(axis=(0, 1)).max() > 10
    bright, dark = cell_pixels(page, drawn, 14), cell_pixels(page, drawn, 35)
    assert np.abs(bright.mean((0, 1)) - dark.mean((0, 1))).max() > 40


def test_hovering_shows_the_numbers_that_were_sent(page):
    page.mouse.move(*token_point(page, 14))
    tip = page.locator("#tv-explorer .tv-tip")
    expect(tip).to_contain_text("token 14 · row 2, column 2")
    value = explorer(page, "x.values[14]")
    shown = float(re.search(r"Attention ([0-9.e-]+)", tip.inner_text())[1])
    assert shown == pytest.approx(value, rel=0.01)
    trace = fake_trace(6, 6)
    layer = explorer(page, "x.view.layer")
    assert value == pytest.approx(float(trace["attention"][:, layer, 14].mean()), rel=0.01)
    expect(tip).to_contain_text("pixels x 64–96, y 64–96")


def test_sliders_and_layers_never_call_the_server(page):
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    settled(page, page.locator("#tv-explorer .tv-word").first.click)
    page.mouse.move(5, 5)
    sent.clear()
    open_more(page)
    keep = page.locator("#tv-explorer input[data-part=keep]")
    for value in range(30, 3, -3):
        settled(page, lambda value=value: keep.evaluate(
            "(node, value) => { node.value = value;"
            " node.dispatchEvent(new Event('input')); }", value
        ))  # fmt: skip
    for layer in range(4):
        settled(page, page.locator(f"#tv-explorer [data-layer='{layer}']").click)
    page.mouse.move(*token_point(page, 3))
    page.wait_for_function(f"() => {EXPLORER}.view.hover === 3")
    assert not [address for address in sent if "/gradio_api/" in address]


def test_the_keep_slider_hatches_what_would_go(page):
    open_more(page)
    keep = page.locator("#tv-explorer input[data-part=keep]")
    settled(page, lambda: keep.fill("6"))
    ranks = explorer(page, "Array.from(x.ranks)")
    best, worst = ranks.index(1), ranks.index(36)
    drawn = pixels(page)
    hatched, clear = (cell_pixels(page, drawn, t).mean(2).std() for t in (worst, best))
    assert hatched > clear + 5
    expect(page.locator("#tv-explorer .tv-legend")).to_contain_text("would be pruned 30")


def test_words_are_clicked_and_add_up(page):
    words = page.locator("#tv-explorer .tv-word")
    settled(page, words.nth(1).click)
    expect(words.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#tv-explorer .tv-detail")).to_contain_text("cat 30 %")
    settled(page, words.nth(2).click)
    page.mouse.move(5, 5)
    trace, layer = fake_trace(6, 6), explorer(page, "x.view.layer")
    expected = trace["attention"][1:3, layer].astype(float).sum(0)
    page.wait_for_function(f"() => {EXPLORER}.view.peek === null")
    np.testing.assert_allclose(explorer(page, "Array.from(x.values)"), expected, rtol=0.01)


def test_keys_change_layer_move_and_clear(page):
    canvas = page.locator("#tv-explorer .tv-frame canvas")
    canvas.focus()
    before = explorer(page, "x.view.layer")
    key, step = ("ArrowRight", 1) if before < 3 else ("ArrowLeft", -1)
    settled(page, lambda: page.keyboard.press(key))
    assert explorer(page, "x.view.layer") == before + step
    for name in ("ArrowRight", "ArrowRight", "ArrowDown"):
        settled(page, lambda name=name: page.keyboard.press(f"Shift+{name}"))
    assert explorer(page, "x.view.pinned") == 7
    settled(page, lambda: page.keyboard.press("Escape"))
    assert explorer(page, "x.view.pinned") == -1


def test_kept_merged_and_pruned_look_different_without_colour(page):
    page.wait_for_function("() => window.__tokviz.lanes[0].columns.every((c) => c.picture.scene)")
    fates = page.evaluate("() => window.__tokviz.lanes[0].columns.map((c) => c.picture.scene.fates ? Array.from(c.picture.scene.fatesAt(null)) : null)")  # fmt: skip  # noqa: E501
    texture = {}
    for lane, fate in ((1, 0), (1, 2), (2, 1)):
        selector = f"#tv-lanes .tv-lane:nth-child({lane + 1}) canvas.tv-lane-picture"
        grey = pixels(page, selector).mean(2)
        owner = f"window.__tokviz.lanes[0].columns[{lane}].picture"
        tokens = [i for i, f in enumerate(fates[lane]) if f == fate and i not in (7, 8, 13, 14)]
        texture[fate] = np.mean(
            [cell_pixels(page, grey[..., None], t, owner).std() for t in tokens]
        )
    assert texture[0] < 3
    assert texture[1] > 5
    assert texture[2] > 5
    expect(page.locator("#tv-lanes")).to_contain_text("merged 27 into 5")


def test_asking_about_an_own_picture(watched, url):
    page = watched(url)
    ask(page, png(picture(BLUE)), "what colour is xyzzy ?")
    answered(page, "blue")
    expect(page.locator("#tv-explorer .tv-word").first).to_have_text("blue")
    expect(page.locator("#tv-notice")).to_contain_text("does not know “xyzzy”")
    settled(page, page.locator("#tv-explorer .tv-word").first.click)
    expect(page.locator("#tv-explorer .tv-lead")).to_contain_text("“blue”")


def test_comparing_streams_marks_changes_and_judges_no_single_time(watched, url):
    page = watched(url)
    lanes = page.locator("#tv-lanes .tv-lane")
    lanes.nth(2).get_by_role("button", name="Remove").click()
    lanes.nth(2).locator("select.tv-method").select_option("divprune")
    expect(lanes.nth(2).locator(".tv-verdict")).to_contain_text("press Compare")
    page.locator("#tv-lanes .tv-primary").click()
    expect(lanes.nth(2).locator("tr", has_text="total time")).to_contain_text("timed once")
    expect(lanes).to_have_count(3)
    expect(lanes.nth(1).locator("ins")).to_have_text("cat")
    expect(lanes.nth(1).locator("del")).to_have_text("dog")
    expect(lanes.nth(1).locator("tr", has_text="visual tokens")).to_contain_text("25 % of full")
    expect(lanes.nth(2).locator(".tv-verdict")).to_contain_text("Same answer")
    for part in (".tv-answer", ".tv-frame", ".tv-figures"):  # side by side, at one height
        tops = lanes.locator(part).evaluate_all(TOPS)
        assert len(tops) == 3
        assert max(tops) - min(tops) < 2, part


def test_a_lane_opens_in_the_big_picture(watched, url):
    page = watched(url)
    page.get_by_role("button", name="Open in the viewer: fastervlm").click()
    answered(page, "cat")
    expect(page.locator("#tv-explorer .tv-legend")).to_contain_text("pruned 27")
    gone = explorer(page, "Array.from(x.scene.fatesAt(null)).indexOf(2)")
    page.mouse.move(*token_point(page, gone))
    expect(page.locator("#tv-explorer .tv-tip")).to_contain_text("pruned (FasterVLM")


def test_a_link_opens_the_same_view(page, watched, url):
    settled(page, page.locator("#tv-explorer .tv-word").nth(2).click)
    settled(page, page.locator("#tv-explorer [data-layer='1']").click)
    open_more(page)
    settled(page, lambda: page.locator("#tv-explorer input[data-part=keep]").fill("12"))
    address = explorer(page, "x.panel.share.address()")
    assert "example=square" in address
    again = watched(url, address.removeprefix(url))
    again.wait_for_function(f"() => {EXPLORER}.view.layer === 1 && {EXPLORER}.view.keep === 12")
    assert explorer(again, "[...x.view.words]") == [2]


def test_a_trace_is_saved_and_opened_without_a_model(watched, url, tmp_path):
    page = watched(url)
    page.locator(".tv-menu summary").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Trace", exact=True).click()
    path = tmp_path / "saved.safetensors"
    saved.value.save_as(path)
    other = watched(url, "?example=tile")
    answered(other, "yes")
    other.locator("#tv-ask > input[accept*=safetensors]").set_input_files(path)
    answered(other, "dog")
    expect(other.locator("#tv-notice")).to_contain_text("All tokens, 36 of 36, from your file")


def test_a_foreign_file_is_refused_with_a_sentence_and_nothing_is_lost(watched, url, tmp_path):
    page = watched(url)
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"PK\x03\x04 this is no trace" * 20)
    page.locator("#tv-ask > input[accept*=safetensors]").set_input_files(path)
    expect(page.locator("#tv-notice")).to_contain_text("not a tokviz trace")
    assert "dog" in explorer(page, "x.scene.payload.answer")


def test_a_broken_picture_gets_a_sentence_and_the_next_one_works(watched, url):
    page = watched(url)
    upload(page, png(picture())[:60])
    expect(page.locator("#tv-notice .tv-bad, #tv-notice.tv-bad, .tv-notice.tv-bad")).to_be_visible()
    ask(page, png(picture(BLUE)), "and now ?")
    answered(page, "blue")


@pytest.mark.weekly
def test_hostile_texts_are_shown_and_not_run(watched, url, tmp_path):
    evil = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
    page = watched(url)
    ask(page, png(picture(BLUE)), evil, name='"><img src=x onerror=alert(1)>.png')
    answered(page, "blue")
    expect(page.locator("#tv-explorer .tv-question")).to_have_text(evil)
    words = ("<b>bold</b>", f" {evil}", "<script>window.hacked=3</script>")
    trace = fake_trace(6, 6, words, prompt=evil, stages=(stage(pruned(36, 9), evil),))
    path = tmp_path / "evil.safetensors"
    trace.save(path)
    page.locator("#tv-ask > input[accept*=safetensors]").set_input_files(path)
    answered(page, "bold")
    page.mouse.move(*token_point(page, 0))
    expect(page.locator("#tv-explorer .tv-tip")).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert (
        page.locator(
            "#tv-explorer img:not(.tv-swatch), #tv-lanes img:not(.tv-swatch), #tv-explorer script"
        ).count()
        == 0
    )


@pytest.mark.weekly
def test_two_visitors_do_not_see_each_other(watched, url):
    first, second = watched(url), watched(url)
    ask(first, png(picture(BLUE)), "mine ?")
    ask(second, png(picture((220, 30, 30))), "yours ?")
    answered(first, "blue")
    answered(second, "red")
    expect(first.locator("#tv-explorer .tv-question")).to_have_text("mine ?")
    expect(second.locator("#tv-explorer .tv-question")).to_have_text("yours ?")
    names = [explorer(page, "x.scene.payload.id") for page in (first, second)]
    assert names[0] != names[1]
    sources = [explorer(page, "x.scene.payload.images[0].src") for page in (first, second)]
    assert sources[0] != sources[1]
