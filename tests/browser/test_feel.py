"""Buttons nobody else clicks, files that are saved, a picture of many tiles, and axe-core."""

import csv
import json
from io import BytesIO, StringIO

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.driving import (
    EXPLORER,
    answered,
    ask,
    explorer,
    nothing_serious,
    png,
    settled,
    token_point,
)
from tests.view.fakes import BLUE, picture, tiled_trace

PASTE = """async (bytes) => {
  const blob = new Blob([new Uint8Array(bytes)], { type: "image/png" });
  await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
}"""


def saved(page, name: str) -> bytes:
    """Choose one line of the save menu and return the file."""
    page.locator(".tv-menu summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()
    return download.value.path().read_bytes()


def test_stop_ends_a_run_and_keeps_what_there_is(watched, url, vlm, monkeypatch):
    monkeypatch.setattr(vlm, "pause", 0.2)
    monkeypatch.setattr(vlm, "steps", 400)
    page = watched(url)
    ask(page, None, "what ?")
    stop = page.locator("#tv-stop")
    expect(stop).to_be_enabled()
    stop.click()
    expect(page.locator("#tv-notice")).to_contain_text("Stopped")
    answered(page, "red")


@pytest.mark.weekly
def test_an_example_opened_while_an_answer_streams_stays(watched, url, site, vlm, monkeypatch):
    monkeypatch.setattr(vlm, "pause", 0.2)
    monkeypatch.setattr(vlm, "steps", 400)
    page = watched(url)
    ask(page, None, "what ?")
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.phase === 'streaming'")
    page.locator("#tv-examples [data-example=tile]").click()
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.example === 'tile'")
    expect(page.locator("#tv-stop")).to_be_disabled()
    while site.stops.running:
        page.wait_for_timeout(50)
    monkeypatch.setattr(vlm, "steps", 3)
    assert explorer(page, "x.scene.payload.example") == "tile"
    ask(page, None, "and now ?")
    answered(page, "blue")


@pytest.mark.weekly
def test_a_picture_is_pasted(watched, url):
    page = watched(url, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(PASTE, list(png(picture(BLUE))))
    page.get_by_label("Paste from clipboard").click()
    page.locator("#tv-picture img").wait_for()
    ask(page, None, "pasted ?")
    answered(page, "blue")


def test_the_saved_files_hold_what_is_shown(watched, url, tmp_path):
    page = watched(url)
    values = explorer(page, "Array.from(x.values)")
    table = list(csv.DictReader(StringIO(saved(page, "Numbers (CSV)").decode())))
    np.testing.assert_allclose([float(row["attention"]) for row in table], values, rtol=1e-5)
    assert table[0]["run"] == page.locator("#tv-explorer [data-part=facts]").inner_text()
    record = json.loads(saved(page, "Numbers (JSON)"))
    assert [row["token"] for row in record["tokens"]] == list(range(36))
    assert Image.open(BytesIO(saved(page, "Picture card (PNG)"))).width == 2400
    drawing = saved(page, "Picture (SVG)").decode()
    assert drawing.startswith("<svg")
    assert drawing.count("<rect") > 36
    path = tmp_path / "run.html"
    path.write_bytes(saved(page, "Web page"))
    page.get_by_role("button", name="Python", exact=True).click()
    expect(page.locator(".tv-code")).to_contain_text("shown = 'square.png'")
    opened = page.context.new_page()
    troubles = []
    opened.on("console", lambda m: troubles.append(m.text))
    opened.on("request", lambda r: troubles.append(r.url) if r.url.startswith("http") else None)
    opened.goto(path.as_uri())
    opened.wait_for_function("() => window.__tokviz.paints > 0")
    opened.mouse.move(*token_point(opened, 14, "canvas[data-part=canvas]"))
    expect(opened.locator("[data-part=token] h3, [data-part=token] h2")).to_have_text("Token 14")
    assert not troubles


WRAPPED = """async (text) => {
  const T = window.__tokviz, figure = new T.Figure(T.explorers[0]), pen = new T.SvgPen(1200, 10);
  pen.font = "19px system-ui, sans-serif";
  const lines = figure.wrap(pen, text, 1140);
  return [lines, Math.max(...lines.map((line) => pen.measureText(line).width))];
}"""


def test_captions_of_saved_pictures_are_never_cut_off_in_silence(page):
    """Languages without spaces and endless words are broken; what is too long ends in dots."""
    for text in ("画像の中に犬はいますか" * 20, "w" * 300, "is there a dog ? " * 12):
        lines, widest = page.evaluate(WRAPPED, text)
        assert widest <= 1140
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    lines, widest = page.evaluate(WRAPPED, "word " * 2000)
    assert len(lines) == 8
    assert widest <= 1140
    assert lines[-1].endswith(" …")


def test_every_image_and_tile_has_its_tokens_in_place(watched, url, tmp_path):
    page = watched(url)
    path, trace = tmp_path / "tiles.safetensors", tiled_trace()
    trace.save(path)
    page.locator("#tv-ask > input[accept*=safetensors]").set_input_files(path)
    answered(page, "tiles")
    cells = np.array(explorer(page, "Array.from(x.painter.cells)")).reshape(-1, 4)
    patches = trace.layout.kind == 0
    assert (cells[patches, 2:] > 0).all()
    panes = explorer(page, "x.scene.payload.panes.length")
    pane_of = np.array(explorer(page, "Array.from(x.scene.pane.values)"))
    assert panes == len({(t.image, t.role) for t in trace.layout.tiles})
    middle, box = cells[:, :2] + cells[:, 2:] / 2, trace.layout.box
    for pane in range(panes):
        here = np.flatnonzero(patches & (pane_of == pane))
        for axis in np.flatnonzero(np.ptp(box[here, :2], 0)):
            order = np.corrcoef(middle[here, axis], box[here, axis])[0, 1]
            assert order > 0.999
    page.mouse.move(*token_point(page, int(np.flatnonzero(trace.layout.tile == 2)[0])))
    expect(page.locator("#tv-explorer [data-part=token]")).to_contain_text("tile 2 of image 2")


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.weekly)])
def test_axe_finds_nothing_serious(watched, url, theme):
    """First screen with the brush open; four answered lanes with open forms; small; presented."""
    page = watched(url, f"?__theme={theme}")
    page.get_by_role("button", name="Paint tokens").click()
    nothing_serious(page)
    settled(page, lambda: page.keyboard.press("Escape"))
    compare_with_open_forms(page)
    page.set_viewport_size({"width": 390, "height": 844})
    nothing_serious(page)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.locator("#tv-present").click()
    nothing_serious(page)


def compare_with_open_forms(page) -> None:
    """Four answered lanes, every form open, a mitigation's options too."""
    for summary in page.locator("#tv-lanes .tv-options summary").all():
        if summary.is_visible():
            summary.click()
    page.get_by_label("Mitigation of lane 2").select_option("pai")
    page.locator("#tv-lanes .tv-primary").click()
    expect(page.locator("#tv-lanes .tv-lane")).to_have_count(4)
    expect(page.locator("#tv-lanes tr", has_text="first token")).to_have_count(4)
    page.get_by_label("What the pictures show").select_option("looked")


OUTSIDE = """() => Array.from(document.querySelectorAll(".tv *, .tv-header *"))
  .filter((node) => !node.closest(".tv-tip, [hidden]") && node.checkVisibility())
  .filter((node) => {
    const box = node.getBoundingClientRect(), lane = node.closest(".tv-lane");
    const edge = Math.min(window.innerWidth, lane ? lane.getBoundingClientRect().right : Infinity);
    return box.width && (box.right > edge + 1 || box.left < -1);
  }).map((node) => node.outerHTML.slice(0, 100))"""
"""Elements that stick out of the window or of their lane."""
MAIN = (
    "#tv-prompt textarea", "#tv-ask-go", "#tv-explorer canvas", "#tv-lanes .tv-primary",
    "#tv-strip .tv-primary", "#tv-desk .tv-primary", "#tv-lessons-button", "#tv-present",
)  # fmt: skip
PHONE = 720
"""Up to this width there is no Present."""


def test_nothing_sticks_out_and_everything_can_be_reached_at_any_width(watched, url):
    page = watched(url)
    compare_with_open_forms(page)
    for width in (360, 768, 1000, 1440, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(f"() => {EXPLORER}.width <= {width}")
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => done()))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OUTSIDE) == []
        for control in MAIN if width > PHONE else MAIN[:-1]:  # no projector is that narrow
            page.locator(control).first.click(trial=True)


@pytest.mark.weekly
def test_the_main_job_is_done_with_keys_alone(watched, url):
    """Ask, pin a word, change the layer, compare with an own question, without a pointer."""
    page = watched(url)
    press = page.keyboard.press

    def tab_to(selector: str) -> None:
        for _ in range(90):
            if page.evaluate(f"() => Boolean(document.activeElement?.matches({selector!r}))"):
                return
            press("Tab")
        raise AssertionError(f"{selector} is not reached with Tab")

    tab_to("#tv-prompt textarea")
    press("ControlOrMeta+a")
    page.keyboard.type("which animal ?")
    tab_to("#tv-ask-go")
    press("Enter")
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.prompt === 'which animal ?'")
    answered(page, "dog")
    tab_to("#tv-explorer .tv-word")
    press("ArrowRight")
    settled(page, lambda: press("Enter"))
    assert explorer(page, "[...x.view.words]") == [1]
    tab_to("#tv-explorer [data-part=bars]")
    before = explorer(page, "x.view.layer")
    settled(page, lambda: press("ArrowLeft" if before else "ArrowRight"))
    assert explorer(page, "x.view.layer") != before
    tab_to("#tv-lanes .tv-primary")
    tab_to("#tv-lanes .tv-lane-own summary")
    press("Enter")
    tab_to("#tv-lanes input[aria-label='Question of lane 1']")
    page.keyboard.type("and now ?")
    press("Enter")
    lane = page.locator("#tv-lanes .tv-lane").nth(1)
    expect(lane.locator(".tv-verdict")).to_contain_text("its own question")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == (
        "Question of lane 1"
    )
