"""The tasks that a newcomer must manage without help, done as a person does them, clicks counted.

On the page that ships: the stored examples and the embedded model. Each bound on the clicks is what
the shortest way through the visible controls takes; a page that makes it longer fails here.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import expect

import tokviz
from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from components.widgets.widget import ASSETS
from tests.browser.conftest import PAINTED, WAIT, serve
from tests.browser.driving import (
    EXPLORER,
    LANES,
    cell_pixels,
    explorer,
    nothing_serious,
    pixels,
)
from tests.browser.person import Person
from tests.view.fakes import fake_trace
from tokviz.plans import Plan
from tokviz.trace import Trace, open_trace
from tokviz.view.word_prob import answer_words_of, default_choice, forced_ids, still_said

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not (ASSETS / "model/config.json").is_file(), reason="no embedded model"),
]
WHALE = [12 * row + col for row in range(4, 8) for col in range(4)]
"""Tokens of the part of the first example's picture in which the whale is: middle left."""


MODELS = Models()


@pytest.fixture(scope="module")
def lab():
    yield from serve(Site(Settings(), StoredExamples(), MODELS))


@pytest.fixture(scope="module")
def no_model():
    def refuse(name):
        raise AssertionError("a stored trace must open without a model")

    yield from serve(Site(Settings(), StoredExamples(), Models(load=refuse)))


@pytest.fixture(scope="module")
def tab(browser, lab):
    context = browser.new_context(
        viewport={"width": 1440, "height": 900},
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.goto(lab)
    page.wait_for_function(PAINTED)
    yield page
    context.close()


@pytest.fixture
def person(tab):
    """Somebody who has the first example before them, untouched."""
    other = tab.locator("#tv-examples .tv-card").nth(1)
    other.click()
    shows(tab, "example", "scene_1")
    tab.locator("#tv-examples .tv-card").first.click()
    shows(tab, "example", "scene_2")
    return Person(tab)


def shows(page, field: str, value: str) -> None:
    """Wait until the run in the big picture has this value."""
    page.wait_for_function(
        f"([field, value]) => {EXPLORER}.scene?.payload[field] === value", arg=[field, value]
    )


def word(page, text: str):
    return page.locator("#tv-explorer .tv-word", has_text=re.compile(f"^{text}$")).first


def heat(page) -> np.ndarray:
    """How far each token's drawn colour is from the picture without a map: [n], read off pixels.

    Yellow, the top of the colour scale, has much green and little blue; violet, the bottom, the
    opposite.
    """
    drawn = pixels(page)
    n = explorer(page, "x.scene.n")
    mean = np.array([cell_pixels(page, drawn, token).mean((0, 1)) for token in range(n)])
    return mean[:, 1] - mean[:, 2]


def test_task_1_find_the_patches_behind_a_word(person):
    page = person.page
    person.click_and_see(word(page, "whale"))
    person.away()
    expect(page.locator("#tv-explorer .tv-lead")).to_contain_text("while it wrote “whale”")
    values = np.array(explorer(page, "Array.from(x.values)"))
    layer = explorer(page, "x.view.layer")
    stored = open_trace(ASSETS / "traces/scene_2.safetensors")
    at = [token.strip() for token in stored.answer_tokens].index("whale")
    np.testing.assert_allclose(values, stored["attention"][at, layer].astype(float), rtol=0.01)
    assert values[WHALE].sum() > 0.5 * values.sum()
    assert set(np.argsort(heat(page))[-3:]) <= set(WHALE)
    person.photograph("task_01_patches_behind_a_word")
    assert person.clicks <= 1


def test_task_2_find_the_sink_of_the_model_that_ships(person):
    """It has none among the visual tokens: its attention rests on the text before the image."""
    page = person.page
    person.click(page.locator("#tv-examples .tv-card", has_text="is there any moon ?"))
    shows(page, "example", "mistake_1")
    note = page.locator("#tv-explorer [data-part=sinkNote]")
    expect(note).to_contain_text(re.compile(r"the 3 tokens before it take \d+ % .* in layer 1"))
    person.click_and_see(page.locator("#tv-explorer [data-layer='1']"))
    bars = page.locator("#tv-explorer [data-part=layerNote]")
    expect(bars).to_contain_text("Layer 1 puts")
    told = int(re.search(r"puts (\d+) % on the tokens before", bars.inner_text())[1])
    mass = open_trace(ASSETS / "traces/mistake_1.safetensors")["mass"].astype(float)
    assert told == round(100 * mass[0, 1, :, 0].mean())
    person.photograph("task_02_the_sink_outside_the_image")
    assert person.clicks <= 2


def sink_trace(sink: int = 35) -> Trace:
    """A run in which one token takes half of the image's attention from layer 2 on."""
    plain = fake_trace(6, 6, prompt="where is the sink ?")
    heads = plain["attention_heads"].astype(np.float32)
    heads[:, 2:] *= 0.5
    heads[:, 2:, :, sink] += heads[:, 2:].sum(-1)
    arrays = {
        "attention_heads": heads.astype(np.float16),
        "attention": heads.mean(2).astype(np.float16),
        "sink_dims": np.array([3], np.int32),
        "sink_phi": np.where(plain["sink_phi"] > 30, plain["sink_phi"], 1).astype(np.float16),
    }
    return replace(plain, arrays={**plain.arrays, **arrays})


def test_task_2_find_the_sink_and_what_it_takes(person, tmp_path):
    """A sink among the visual tokens: the run of a model that has sink dimensions."""
    page, path = person.page, tmp_path / "sinks.safetensors"
    trace = sink_trace()
    trace.save(path)
    person.give_file(page.get_by_role("button", name="Open a trace file"), path)
    shows(page, "prompt", trace.prompt)
    striped = "striped: the part on sinks"
    expect(page.locator("#tv-explorer [data-part=layerNote]")).to_contain_text(striped)
    person.click_and_see(page.locator("#tv-explorer [data-layer='3']"))
    expect(page.locator("#tv-explorer .tv-legend")).to_contain_text(
        "1 attention sink, left out of the colours"
    )
    sink = 35
    person.point(sink)
    facts = page.locator("#tv-explorer [data-part=token]")
    expect(facts).to_contain_text("attention sink in this layer")
    told = float(re.search(r"Attention ([0-9.e-]+)", facts.inner_text())[1])
    layer = explorer(page, "x.view.layer")
    assert told == pytest.approx(float(trace["attention"][:, layer, sink].mean()), rel=0.02)
    assert told > 0.5 * trace["attention"][:, layer].astype(float).mean(0).sum()
    person.away()
    drawn = pixels(page)
    hatched = cell_pixels(page, drawn, sink).mean(2).std()
    assert hatched > 2 * cell_pixels(page, drawn, 30).mean(2).std()
    person.photograph("task_02_the_sink")
    assert person.clicks <= 3


def test_task_3_compare_three_methods_at_a_quarter(person):
    page = person.page
    lanes = page.locator("#tv-lanes .tv-lane")
    person.choose(lanes.nth(2).locator("select.tv-method"), "divprune")
    person.press("Compare")
    expect(page.locator(".tv-edge")).to_be_visible()  # the notice itself is far up
    for number, method in ((1, "fastervlm"), (2, "divprune"), (3, "fastv")):
        lane = lanes.nth(number)
        expect(lane.locator("select.tv-method")).to_have_value(method)
        expect(lane.locator("tr", has_text="visual tokens")).to_contain_text("25 % of full")
        expect(lane.locator("tr", has_text="total time")).to_contain_text("timed once")
        expect(lane.locator(".tv-verdict")).not_to_be_empty()
        expect(lane.locator(".tv-legend")).to_contain_text("kept 36")
        expect(lane.locator(".tv-legend")).to_contain_text("pruned 108")
    kept = page.evaluate(
        "() => window.__tokviz.lanes[0].columns.slice(1).map((c) => Array.from(c.picture.scene.fatesAt(null)))"  # noqa: E501
    )
    assert len({tuple(fates) for fates in kept}) == 3
    for number in (1, 2, 3):
        drawn = pixels(page, f"#tv-lanes .tv-lane:nth-child({number + 1}) canvas.tv-lane-picture")
        owner = f"window.__tokviz.lanes[0].columns[{number}].picture"
        light = [cell_pixels(page, drawn, token, owner).mean() for token in range(144)]
        gone = np.array(kept[number - 1]) == 2
        assert np.mean(np.array(light)[~gone]) > np.mean(np.array(light)[gone]) + 20
    lanes.first.scroll_into_view_if_needed()
    person.photograph("task_03_three_methods")
    assert person.clicks <= 3


def test_task_4_find_the_smallest_keep_that_holds_the_answer(person):
    page, strip = person.page, person.page.locator("#tv-strip")
    person.click(page.locator("#tv-examples .tv-card", has_text="Where is the dog?"))
    shows(page, "example", "scene_1")
    person.press("Run the sweep")
    said = strip.locator(".tv-sweep-message")
    expect(said).to_contain_text("FasterVLM: Smallest keep that holds the answer")
    least, below = map(int, re.search(r": (\d+) tokens .* at (\d+) it", said.inner_text()).groups())
    person.photograph("task_04_the_smallest_keep")
    assert person.clicks <= 2
    assert below == least - 1
    picture = StoredExamples().all["scene_1"].run.image
    vlm, asked = MODELS.get("embedded"), "Where is the dog?"
    full = vlm.answer(picture, asked)
    words, ids = answer_words_of(full), np.array(forced_ids(full))
    held = []
    for keep in (least, below):
        plan = tokviz.plan("fastervlm", keep).then(Plan((), None, forced_ids(full)))
        best = vlm.answer(picture, asked, plan)["candidate_ids"][: len(ids), 0]
        spoken = still_said(words, best == ids)
        held.append(all(spoken[word] for word in default_choice(words)))
    assert held == [True, False]
    number = re.compile(f"^{least}$")
    expect(strip.locator(".tv-cell-holds b", has_text=number).first).to_be_visible()
    person.click(page.locator("#tv-examples .tv-card").first)
    expect(said).to_contain_text("About another picture or question.")


def test_task_5_see_where_a_merged_group_came_from(person):
    page = person.page
    person.press("Open in the viewer: visionzip")
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.lane === 1")
    stored = open_trace(ASSETS / "traces/scene_2--2-visionzip.safetensors").reduction
    groups = {}
    for token in np.flatnonzero(stored.fate == 1):
        groups.setdefault(int(stored.group[token]), []).append(int(token))
    group, sources = max(groups.items(), key=lambda item: len(item[1]))
    person.away()
    before = pixels(page)
    person.point(sources[0])
    page.wait_for_function(f"(token) => {EXPLORER}.look.hover === token", arg=sources[0])
    tip = page.locator("#tv-explorer .tv-tip")
    expect(tip).to_contain_text(f"group {group}: {len(sources)} tokens")
    after = pixels(page)
    changed = np.abs(after - before).max(2)
    marked = [edge(page, changed, token).max() for token in sources]
    others = [edge(page, changed, t).mean() for t in range(144) if stored.fate[t] == 0]
    assert min(marked) > 40
    assert np.median(others) < 10
    person.photograph("task_05_a_merged_group")
    assert person.clicks <= 1


def edge(page, drawn: np.ndarray, token: int) -> np.ndarray:
    """The pixels of a whole token, its edge included."""
    cell, ratio = page.evaluate(
        f"() => [{EXPLORER}.painter.cell({token}), {EXPLORER}.painter.ratio]"
    )
    x0, y0 = cell["x"] * ratio, cell["y"] * ratio
    x1, y1 = x0 + cell["w"] * ratio, y0 + cell["h"] * ratio
    return drawn[int(y0) : int(y1), int(x0) : int(x1)]


def test_task_6_paint_an_object_away_and_ask_again(person):
    page = person.page
    assert "whale" in explorer(page, "x.scene.payload.answer")
    person.press("Paint tokens")
    ask = page.get_by_role("button", name="Ask again with exactly these")
    expect(ask).to_be_in_viewport()  # or the other Ask, with all tokens, is taken for it
    person.choose(page.get_by_label("Brush size in tokens"), "2")
    person.drag(5 * 12 + 1, 5 * 12 + 2)
    expect(page.locator(".tv-count")).to_have_text("119 of 144 tokens are in.")
    drawn = pixels(page)
    light = [cell_pixels(page, drawn, token).mean() for token in (*WHALE, 9 * 12 + 2)]
    assert max(light[:-1]) < light[-1]
    person.press("Ask again with exactly these")
    said = page.locator(".tv-brush-message")
    expect(said).to_contain_text("The answer changed.")
    person.photograph("task_06_painted_away")
    assert "whale" not in said.inner_text()
    lane = page.locator("#tv-lanes .tv-lane", has_text="Chosen by hand")
    expect(lane.locator("del", has_text="whale")).to_be_visible()
    expect(lane.locator(".tv-legend")).to_contain_text("kept 119")
    assert person.clicks <= 5
    person.press("Stop painting")
    person.press("Remove by hand")


def test_task_7_explain_a_hallucination_and_find_what_removes_it(person):
    page, desk = person.page, person.page.locator("#tv-desk")
    person.click(page.locator("#tv-examples .tv-card", has_text="is there any moon ?"))
    shows(page, "example", "mistake_1")
    expect(page.locator("#tv-notice")).to_contain_text("the right answer is “no”")
    person.press("Examine this answer")
    flagged = desk.locator(".tv-flagged")
    expect(flagged).to_have_text("⚑ yes")
    expect(desk.locator("[data-part=word]")).to_contain_text("Flagged: unsure")
    expect(desk.locator(".tv-deskmaps figcaption")).to_have_text(
        [re.compile("Where it looked"), re.compile("What speaks for it")]
    )
    person.press("Try them all")
    summary = desk.locator(".tv-mitigation-summary")
    expect(summary).to_contain_text("DAMRO change the answer")
    page.evaluate("() => document.body.classList.add('dark')")
    nothing_serious(page)
    page.evaluate("() => document.body.classList.remove('dark')")
    first = desk.locator("[data-part=mitigations] .tv-outcome").first
    expect(first.locator("ins")).to_have_text("no")
    expect(first).to_contain_text("timed once")
    person.photograph("task_07_a_hallucination_explained")
    person.click(first.get_by_role("button", name="Open as a lane"))
    lane = page.locator("#tv-lanes .tv-lane").nth(1)
    expect(lane.locator("ins")).to_have_text("no")
    expect(lane).to_contain_text("DAMRO")
    person.photograph("task_07_and_what_removes_it")
    assert person.clicks <= 4


def test_task_8_the_same_for_two_prompts_side_by_side(person):
    """Is it the question that makes the model see a moon? The mistake beside another question."""
    page, lanes = person.page, person.page.locator("#tv-lanes .tv-lane")
    person.click(page.locator("#tv-examples .tv-card", has_text="is there any moon ?"))
    shows(page, "example", "mistake_1")
    lane = lanes.nth(1)
    person.choose(lane.locator("select.tv-method"), "")
    person.click(lane.locator(".tv-lane-own summary"))
    person.type(page.get_by_label("Question of lane 1"), "is there a star ?")
    page.keyboard.press("Enter")
    expect(lane.locator(".tv-verdict")).to_contain_text("its own question")
    expect(lanes.first.locator(".tv-answer")).to_have_text("yes")
    full, asked = (MODELS.get("embedded").answer(
        StoredExamples().all["mistake_1"].run.image, prompt
    ) for prompt in ("is there any moon ?", "is there a star ?"))  # fmt: skip
    expect(lane.locator(".tv-answer")).to_have_text(asked.answer)
    person.choose(page.get_by_label("What the pictures show"), "looked")
    expect(lane.locator(".tv-legend")).to_contain_text("attention in layer")
    layer = explorer(page, "x.view.layer")
    for column, trace in ((0, full), (1, asked)):
        drawn = page.evaluate(
            f"() => Array.from({LANES}.columns[{column}].picture.attention().values)"
        )
        mean = trace["attention"].astype(float).mean(0)[layer]
        np.testing.assert_allclose(drawn, mean, atol=2e-3)
    assert page.evaluate(
        "() => new Set(window.__tokviz.lanes[0].columns.map((c) => c.owner.high)).size"
    ) == 1  # fmt: skip
    lanes.first.scroll_into_view_if_needed()
    person.photograph("task_08_two_prompts")
    assert person.clicks <= 7
    page.get_by_label("What the pictures show").select_option("fates")


def test_task_9_send_a_link_that_shows_exactly_this(person, browser):
    page = person.page
    person.click_and_see(word(page, "boat"))
    person.click_and_see(page.locator("#tv-explorer [data-layer='3']"))
    person.press("Copy link")
    expect(page.locator("#tv-explorer .tv-message")).to_have_text("Link copied.")
    address = page.evaluate("navigator.clipboard.readText()")
    assert person.clicks <= 3
    person.away()
    mine = pixels(page)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    colleague = Person(context.new_page())
    colleague.page.set_default_timeout(WAIT)
    colleague.page.goto(address)
    colleague.page.wait_for_function(PAINTED)
    expect(word(colleague.page, "boat")).to_have_attribute("aria-pressed", "true")
    colleague.page.wait_for_function(f"() => {EXPLORER}.look && {EXPLORER}.view.layer === 3")
    np.testing.assert_array_equal(pixels(colleague.page), mine)
    colleague.photograph("task_09_the_colleague_sees_the_same")
    context.close()


def test_task_10_open_a_colleagues_trace_without_a_model(person, browser, no_model, tmp_path):
    person.press("Open in the viewer: fastervlm")
    person.page.wait_for_function(f"() => {EXPLORER}.scene.payload.lane === 0")
    path = tmp_path / "from_a_colleague.safetensors"
    path.write_bytes(person.save("Trace").read_bytes())
    person.away()
    mine = pixels(person.page)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    me = Person(context.new_page())
    me.page.set_default_timeout(WAIT)
    me.page.goto(no_model)
    me.page.wait_for_function(PAINTED)
    me.give_file(me.page.get_by_role("button", name="Open a trace file"), path)
    expect(me.page.locator("#tv-notice")).to_contain_text("FasterVLM, 36 of 144, from your file")
    expect(me.page.locator("#tv-explorer .tv-legend")).to_contain_text("pruned 108")
    me.away()
    assert explorer(me.page, "Array.from(x.scene.fatesAt(null))") == explorer(
        person.page, "Array.from(x.scene.fatesAt(null))"
    )
    np.testing.assert_array_equal(pixels(me.page), mine)
    me.photograph("task_10_a_colleagues_trace")
    context.close()
    assert me.clicks <= 2


def test_an_open_lesson_has_nothing_serious(person):
    page = person.page
    person.press("Lessons")
    person.click(page.locator("#tv-lesson-menu input"))
    person.click(page.locator("#tv-lessons [role=option]").nth(1))
    expect(page.locator("#tv-lesson-text")).to_contain_text("1 of")
    for part in ("canvas", "words", "bars"):
        expect(page.locator(f"#tv-explorer [data-part={part}]")).to_be_in_viewport()
    nothing_serious(page)
    person.press("Lessons")
