"""The tasks that a newcomer must manage without help, done as a person does them, clicks counted.

On the page that ships: the stored examples and the embedded model. Each bound on the clicks is what
the shortest way through the visible controls takes; a page that makes it longer fails here.
"""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from playwright.sync_api import expect

import tokviz
from components.runs.models import Models
from components.runs.runs import FULL
from components.runs.stored_examples import Example, StoredExamples
from components.settings import Settings
from components.site import Site
from components.widgets.widget import ASSETS
from tests.browser.conftest import PAINTED, WAIT, serve
from tests.browser.driving import (
    EXPLORER,
    LANES,
    cell_pixels,
    every_cell,
    explorer,
    nothing_serious,
    pixels,
)
from tests.browser.person import Person
from tests.example_scenes import shown_once, tokens_at
from tests.view.fakes import fake_trace
from tokviz.plans import Plan
from tokviz.trace import Trace
from tokviz.view.word_prob import answer_words_of, default_choice, forced_ids, still_said

pytestmark = [
    pytest.mark.weekly,  # of what the tasks are made, other files try each time
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not (ASSETS / "model/config.json").is_file(), reason="no embedded model"),
]
MODELS = Models()


@cache
def examples() -> dict[str, Example]:
    """The stored examples by name, read once."""
    return StoredExamples().all


def stored(name: str) -> Trace:
    """The full answer of a stored example."""
    return examples()[name].run.traces[FULL]


def description() -> str:
    """The name of the first stored example, with which the page opens."""
    return next(iter(examples()))


def where() -> str:
    """The name of the first that asks where something is."""
    return next(name for name in examples() if "where is" in stored(name).prompt.lower())


def mistake() -> str:
    """The name of the first wrong yes or no."""
    wrong = [name for name, one in examples().items() if one.truth in ("yes", "no")]
    return next(name for name in wrong if stored(name).answer != examples()[name].truth)


def subject(name: str) -> tuple[str, list[int]]:
    """A thing in an example's picture whose name is one token of the answer; and its tokens."""
    trace, (tile,) = stored(name), stored(name).layout.tiles
    said = [piece.strip() for piece in trace.pieces]
    held = {said[word] for word in examples()[name].view.get("words", ())}
    there = [one for one in shown_once() if one.picture.stem == name and one.name in said]
    one = max(there, key=lambda one: one.name in held)
    return one.name, tokens_at(one.place, tile.rows, tile.cols)


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
    shows(tab, "example", list(examples())[1])
    tab.locator("#tv-examples .tv-card").first.click()
    shows(tab, "example", description())
    return Person(tab)


def open_example(person: Person, name: str) -> Trace:
    """Click the card of a stored example."""
    number = list(examples()).index(name)
    person.click(person.page.locator("#tv-examples .tv-card").nth(number))
    shows(person.page, "example", name)
    return stored(name)


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
    mean = np.array([cell.mean((0, 1)) for cell in every_cell(page, pixels(page))])
    return mean[:, 1] - mean[:, 2]


def test_task_1_find_the_patches_behind_a_word(person):
    page, trace = person.page, stored(description())
    name, tokens = subject(description())
    person.click_and_see(word(page, name))
    person.away()
    expect(page.locator("#tv-explorer .tv-lead")).to_contain_text(f"while it wrote “{name}”")
    values = np.array(explorer(page, "Array.from(x.values)"))
    layer = explorer(page, "x.view.layer")
    at = [piece.strip() for piece in trace.pieces].index(name)
    np.testing.assert_allclose(values, trace["attention"][at, layer].astype(float), rtol=0.01)
    assert values[tokens].sum() > 0.3 * values.sum()  # these are a ninth of all
    drawn, brightest = heat(page), np.argsort(values)[-5:]
    assert drawn[brightest].mean() > np.quantile(drawn, 0.9)
    person.photograph("task_01_patches_behind_a_word")
    assert person.clicks <= 1


def test_task_2_find_the_sink_of_the_model_that_ships(person):
    """Most of its attention rests on the text before the picture, that is on <s>."""
    page = person.page
    mass = open_example(person, where())["mass"].astype(float).mean((0, 2))
    count, layer = stored(where())["token_position"].min(), int(mass[:, 0].argmax())
    assert mass[layer, 0] > 0.4
    note = page.locator("#tv-explorer [data-part=sinkNote]")
    said = rf"the {count} tokens before it take \d+ % .* in layer {layer}"
    expect(note).to_contain_text(re.compile(said))
    person.click_and_see(page.locator(f"#tv-explorer [data-layer='{layer}']"))
    bars = page.locator("#tv-explorer [data-part=layerNote]")
    expect(bars).to_contain_text(f"Layer {layer} puts")
    told = int(re.search(r"puts (\d+) % on the tokens before", bars.inner_text())[1])
    held = examples()[where()].view.get("words") or range(stored(where()).t)
    by_word = stored(where())["mass"].astype(float)[:, layer, :, 0].mean(1)
    assert told == pytest.approx(100 * by_word[list(held)].mean(), abs=1)
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


WATCH_EDGE = """() => {
  const edge = document.querySelector(".tv-edge");
  new MutationObserver(() => { window.__edgeSeen ||= !edge.hidden; }).observe(
    edge, { attributes: true });
}"""
"""Remembers that the notice at the edge of the window was shown: a quick run takes it away."""


def test_task_3_compare_three_methods_at_a_quarter(person):
    page, n = person.page, stored(description()).n
    lanes = page.locator("#tv-lanes .tv-lane")
    person.choose(lanes.nth(2).locator("select.tv-method"), "divprune")
    page.evaluate(WATCH_EDGE)
    go = page.get_by_role("button", name="Compare", exact=True)
    go.evaluate("(button) => button.scrollIntoView({ block: 'start' })")
    person.press("Compare")
    for number, method in ((1, "fastervlm"), (2, "divprune"), (3, "fastv")):
        lane = lanes.nth(number)
        expect(lane.locator("select.tv-method")).to_have_value(method)
        expect(lane.locator("tr", has_text="visual tokens")).to_contain_text("25 % of full")
        expect(lane.locator("tr", has_text="total time")).to_contain_text("timed once")
        expect(lane.locator(".tv-verdict")).not_to_be_empty()
        expect(lane.locator(".tv-legend")).to_contain_text(f"kept {n // 4}")
        expect(lane.locator(".tv-legend")).to_contain_text(f"pruned {n - n // 4}")
    assert page.evaluate("() => window.__edgeSeen")  # the notice itself is far up
    kept = page.evaluate(
        "() => window.__tokviz.lanes[0].columns.slice(1).map((c) => Array.from(c.picture.scene.fatesAt(null)))"  # noqa: E501
    )
    assert len({tuple(fates) for fates in kept}) == 3
    for number in (1, 2, 3):
        drawn = pixels(page, f"#tv-lanes .tv-lane:nth-child({number + 1}) canvas.tv-lane-picture")
        owner = f"window.__tokviz.lanes[0].columns[{number}].picture"
        light = np.array([cell.mean() for cell in every_cell(page, drawn, owner)])
        gone = np.array(kept[number - 1]) == 2
        assert light[~gone].mean() > light[gone].mean() + 20
    lanes.first.scroll_into_view_if_needed()
    person.photograph("task_03_three_methods")
    assert person.clicks <= 3


def test_task_4_find_the_smallest_keep_that_holds_the_answer(person):
    page, strip = person.page, person.page.locator("#tv-strip")
    full = open_example(person, where())
    person.press("Run the sweep")
    said = strip.locator(".tv-sweep-message")
    expect(said).to_contain_text("FasterVLM: Smallest keep that holds the answer")
    least, below = map(int, re.search(r": (\d+) tokens .* at (\d+) it", said.inner_text()).groups())
    person.photograph("task_04_the_smallest_keep")
    assert person.clicks <= 2
    assert below == least - 1
    vlm, picture, asked = MODELS.get("embedded"), examples()[where()].run.image, full.prompt
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
    done = examples()[description()].run.traces[1].reduction
    groups = {}
    for token in np.flatnonzero(done.fate == 1):
        groups.setdefault(int(done.group[token]), []).append(int(token))
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
    others = [edge(page, changed, int(t)).mean() for t in np.flatnonzero(done.fate == 0)]
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
    page, trace = person.page, stored(description())
    name, tokens = subject(description())
    assert name in explorer(page, "x.scene.payload.answer")
    person.press("Paint tokens")
    ask = page.get_by_role("button", name="Ask again with exactly these")
    expect(ask).to_be_in_viewport()  # or the other Ask, with all tokens, is taken for it
    person.choose(page.get_by_label("Brush size in tokens"), "box")
    person.drag(tokens[0], tokens[-1])
    left = trace.n - len(tokens)
    expect(page.locator(".tv-count")).to_have_text(f"{left} of {trace.n} tokens are in.")
    hatched = np.isin(np.arange(trace.n), tokens)
    light = np.array([cell.mean() for cell in every_cell(page, pixels(page))])
    assert light[hatched].mean() < light[~hatched].mean()
    person.press("Ask again with exactly these")
    said = page.locator(".tv-brush-message")
    expect(said).to_contain_text("The answer changed.")
    person.photograph("task_06_painted_away")
    assert f"a {name} " not in said.inner_text()
    lane = page.locator("#tv-lanes .tv-lane", has_text="Chosen by hand")
    expect(lane.locator("del", has_text=name)).to_be_visible()
    expect(lane.locator(".tv-legend")).to_contain_text(f"kept {left}")
    assert person.clicks <= 5
    person.press("Stop painting")
    person.press("Remove by hand")


def test_task_7_explain_a_hallucination_and_find_what_removes_it(person):
    page, desk = person.page, person.page.locator("#tv-desk")
    said, right = open_example(person, mistake()).answer, examples()[mistake()].truth
    expect(page.locator("#tv-notice")).to_contain_text(f"the right answer is “{right}”")
    person.press("Examine this answer")
    expect(desk.locator(".tv-flagged")).to_have_text(f"⚑ {said}")
    expect(desk.locator("[data-part=word]")).to_contain_text("Flagged: ")
    expect(desk.locator(".tv-deskmaps figcaption")).to_have_text(
        [re.compile("Where it looked"), re.compile("What speaks for it")]
    )
    person.press("Try them all")
    summary = desk.locator(".tv-mitigation-summary")
    expect(summary).to_contain_text(re.compile(r"changes? the answer"))
    page.evaluate("() => document.body.classList.add('dark')")
    nothing_serious(page, "#tv-desk")
    page.evaluate("() => document.body.classList.remove('dark')")
    first = desk.locator("[data-part=mitigations] .tv-outcome").first  # those that change it lead
    title = first.locator("b").first.inner_text()
    expect(first.locator("ins")).to_have_text(right)
    expect(first).to_contain_text("timed once")
    person.photograph("task_07_a_hallucination_explained")
    person.click(first.get_by_role("button", name="Open as a lane"))
    lane = page.locator("#tv-lanes .tv-lane").nth(1)
    expect(lane.locator("ins")).to_have_text(right)
    expect(lane).to_contain_text(title)
    person.photograph("task_07_and_what_removes_it")
    assert person.clicks <= 4


def test_task_8_the_same_for_two_prompts_side_by_side(person):
    """Is it the question that makes the model see a thing? The mistake beside another question."""
    page, lanes = person.page, person.page.locator("#tv-lanes .tv-lane")
    wrong, other = open_example(person, mistake()), "is there a star ?"
    lane = lanes.nth(1)
    person.choose(lane.locator("select.tv-method"), "")
    person.click(lane.locator(".tv-lane-own summary"))
    person.type(page.get_by_label("Question of lane 1"), other)
    page.keyboard.press("Enter")
    expect(lane.locator(".tv-verdict")).to_contain_text("its own question")
    expect(lanes.first.locator(".tv-answer")).to_have_text(wrong.answer)
    picture = examples()[mistake()].run.image
    full, asked = (
        MODELS.get("embedded").answer(picture, prompt) for prompt in (wrong.prompt, other)
    )
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
    name, _ = subject(description())
    person.click_and_see(word(page, name))
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
    expect(word(colleague.page, name)).to_have_attribute("aria-pressed", "true")
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
    n, keep = stored(description()).n, stored(description()).n // 4
    from_file = f"FasterVLM, {keep} of {n}, from your file"
    expect(me.page.locator("#tv-notice")).to_contain_text(from_file)
    expect(me.page.locator("#tv-explorer .tv-legend")).to_contain_text(f"pruned {n - keep}")
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
    nothing_serious(page, "#tv-lessons")
    person.press("Lessons")
