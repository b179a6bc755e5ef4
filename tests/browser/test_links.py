"""A link carries everything that makes the state: the page writes it, the server reads it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect

from components.answering.links import MAPS, SCALINGS, read_compare, read_query, read_view
from components.runs.lane_request import BY_HAND, lanes_json, read_lanes
from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import PAINTED, WAIT, serve, store_examples
from tests.browser.driving import EXPLORER, answered, ask, explorer, settled
from tests.components.fake_vlm import FakeVLM
from tokviz.view.script import linked

pytestmark = pytest.mark.browser

name = st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True).filter(
    lambda n: n not in ("all", "hand", "positions")
)
number = st.integers(-(2**31), 2**31)
text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
values = st.one_of(st.booleans(), number, text, st.none(), st.sampled_from([0.5, 1e-7, 0.1]))
options = st.dictionaries(name, values, max_size=3)
own = {
    "prompt": text,
    "model": text,
    "forced": st.lists(st.integers(0, 10**6), min_size=1, max_size=5),
    "forcedText": text,
    "layer": st.integers(0, 80),
}


@st.composite
def lane(draw):
    """One lane as the page holds it."""
    plan = {"method": draw(name | st.just("")), "keep": draw(st.integers(1, 9999))}
    plan |= {"options": draw(options)}
    plan |= draw(st.fixed_dictionaries({}, optional=own))
    if draw(st.booleans()):
        plan["positions"] = draw(st.sampled_from(["keep", "repack"]))
    if draw(st.booleans()):
        plan["mitigation"] = draw(name)
        plan["mitigation_options"] = draw(options.filter(bool))
    if draw(st.integers(0, 4)) == 0:
        n = draw(st.integers(1, 40))
        tokens = draw(st.sets(st.integers(0, n - 1), min_size=1))
        for field in ("positions", "options"):
            plan.pop(field, None)
        plan |= {"method": BY_HAND, "tokens": sorted(tokens), "n": n, "options": {}}
    return plan


views = st.fixed_dictionaries(
    {
        "map": st.sampled_from(MAPS),
        "layer": st.integers(0, 80),
        "head": st.integers(-1, 31),
        "words": st.lists(st.integers(0, 64), unique=True, max_size=8),
        "keep": st.integers(1, 40),
        "opacity": st.integers(0, 100),
        "fates": st.booleans(),
        "stage": st.none() | st.integers(0, 4),
        "pinned": st.integers(-1, 39),
        "scaling": st.sampled_from(SCALINGS),
        "common": st.booleans(),
        "sinks": st.booleans(),
        "hand": st.none() | st.lists(st.integers(0, 1), min_size=1, max_size=40).filter(any),
    }
)
WRITE = """([plans, view]) => {
  const T = window.__tokviz, hand = view.hand && Uint8Array.from(view.hand);
  const words = { ...T.viewWords({ ...view, words: new Set(view.words) }, { n: 40, fates: true, hand }), compare: T.plansText(plans) };
  const url = new URL("http://somewhere/");
  for (const [name, value] of Object.entries(words)) if (value !== null) url.searchParams.set(name, value);
  return [url.search, plans.map(T.planKey)];
}"""  # noqa: E501


@pytest.fixture(scope="module")
def script(browser):
    """The scripts that write links, alone."""
    page = browser.new_page()
    page.evaluate(linked("page/main.js"))
    yield page
    page.close()


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(plans=st.lists(lane(), max_size=4), view=views)
def test_every_state_comes_back_from_its_link(script, plans, view):
    query, keys = script.evaluate(WRITE, [plans, view])
    words = read_query(query)
    back = lanes_json(read_compare(words))
    assert back == plans
    asked = [lanes_json(read_lanes([one]))[0] for one in back]
    assert script.evaluate(WRITE, [asked, view])[1] == keys
    seen = read_view(words)
    expected = {k: view[k] for k in ("map", "layer", "opacity", "words")}
    expected |= {"head": view["head"]} if view["head"] >= 0 else {}
    expected |= {"keep": view["keep"]} if view["keep"] < 40 else {}
    expected |= {"token": view["pinned"]} if view["pinned"] >= 0 else {}
    expected |= {"scaling": view["scaling"]} if view["scaling"] != "linear" else {}
    expected |= {k: True for k in ("common", "sinks") if view[k]}
    expected |= {} if view["fates"] else {"fates": False}
    expected |= {"stage": view["stage"]} if view["fates"] and view["stage"] is not None else {}
    if view["hand"]:
        expected["hand"] = [i for i, bit in enumerate(view["hand"]) if bit]
    assert seen == expected


@pytest.fixture
def servers(tmp_path):
    """Starts the same page again and again: nothing of a run outlives a server."""
    store_examples(tmp_path)
    running = []

    def start() -> str:
        models = Models(("embedded", "second"), load=lambda name: FakeVLM())
        running.append(serve(Site(Settings(), StoredExamples(tmp_path), models)))
        return next(running[-1])

    yield start
    for server in running:
        next(server, None)


def compared(page) -> None:
    page.wait_for_function(
        "() => { const { value, plans } = window.__tokviz.lanes[0];"
        " return value.phase === 'done' && value.lanes.length === plans.length"
        " && value.lanes.every((lane) => lane?.done); }"
    )


@pytest.mark.weekly
def test_a_link_opened_after_a_restart_shows_exactly_this(browser, servers):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(WAIT)
    page.goto(servers())
    page.wait_for_function(PAINTED)
    ask(page, None, "what is here ?")
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.prompt === 'what is here ?'")
    answered(page, "dog")
    first, second = (page.locator("#tv-lanes .tv-lane").nth(i) for i in (1, 2))
    first.locator(".tv-lane-own summary").click()
    first.get_by_label("Question of lane 1").fill('is it, "red" ; 50 % <b>?')
    first.get_by_label("Model of lane 1").select_option("second")
    second.locator(".tv-lane-own summary").click()
    second.get_by_label("Mitigation of lane 2").select_option("pai")
    second.locator(".tv-mitigation input").first.fill("0.7")
    page.locator("#tv-lanes .tv-primary").click()
    compared(page)
    second.get_by_label("Layer of the picture in lane 2").select_option("1")
    settled(page, page.get_by_role("button", name="Open in the viewer: visionzip").click)
    page.wait_for_function(f"() => {EXPLORER}.scene.payload.lane === 1")
    settled(page, page.locator("#tv-explorer .tv-word").nth(1).click)
    page.locator("#tv-explorer .tv-morebox summary").click()
    settled(page, lambda: page.get_by_label("Colour scale").select_option("log"))
    address = explorer(page, "x.panel.share.address()")

    again = browser.new_page(viewport={"width": 1440, "height": 900})
    again.set_default_timeout(WAIT)
    again.goto(servers() + address[address.index("?") :])
    again.wait_for_function(PAINTED)
    again.wait_for_function(f"() => {EXPLORER}.scene?.payload.lane === 1")
    compared(again)
    expect(again.locator("#tv-prompt textarea")).to_have_value("what is here ?")
    assert explorer(again, "x.panel.share.address()").split("?")[1] == address.split("?")[1]
    for one in (page, again):
        one.wait_for_function(
            "() => window.__tokviz.lanes[0].columns.every((c) => c.picture.scene)"
        )
    texts = [one.locator("#tv-lanes .tv-answer").all_inner_texts() for one in (page, again)]
    assert texts[0] == texts[1]
    for wanted in ("Answered by second.", "its own question"):
        expect(again.locator("#tv-lanes .tv-lane").nth(1)).to_contain_text(wanted)
    expect(again.locator("#tv-lanes .tv-lane").nth(2)).to_contain_text("layer 1 (its own)")
    assert explorer(again, "[...x.view.words]") == [1]
    page.close()
    again.close()
