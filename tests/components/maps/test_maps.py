import types
from dataclasses import replace

import numpy as np
import pytest

import tokviz
from components.maps.menu import analysis_menu, asked_cost, passes
from components.maps.panel import MapsHandlers, server_functions
from components.runs.runs import FULL, KeptRun
from components.site import Site
from tests.view.fakes import fake_trace, picture
from tokviz.analysis import ANALYSES, Result
from tokviz.analysis.declare import GROUPS
from tokviz.errors import InputError, MissingSignal

REQUEST = types.SimpleNamespace(session_hash="mapper")


class Analyst:
    """A model whose analyses are made of numbers in order; it can be stopped."""

    def __init__(self):
        self.info = {"name": "fake"}
        self.asked = []

    def analyse(self, name, images, prompt, *, trace, plan, max_new_tokens, progress, stop, **more):
        self.asked.append((name, trace is None, more))
        for done in range(3):
            if stop.is_set():
                raise InputError("stopped")
            progress(done + 1, 3)
        values = np.arange(36, dtype=np.float32)
        return Result(values, "n", title="Leave one block out", meaning="m", not_meaning="x")


@pytest.fixture(scope="module")
def vlm():
    return Analyst()


@pytest.fixture(scope="module")
def site(vlm):
    site = Site()
    site.models = types.SimpleNamespace(names=["embedded"], get=lambda name: vlm)
    return site


@pytest.fixture(scope="module")
def run(site):
    return site.runs.put(KeptRun(picture(), "what ?", "embedded", {FULL: fake_trace(6, 6)}))


def make(site, run, name, **options):
    handlers = MapsHandlers(site, site.results)
    sent = {"id": f"{run.name}:-1", "name": name, "options": options}
    return list(handlers.make(types.SimpleNamespace(_data=sent), REQUEST))


def test_the_menu_has_every_analysis_in_groups_with_its_cost_or_a_reason(run):
    entries = analysis_menu(run, run.traces[FULL])
    assert {one["name"] for one in entries} == set(ANALYSES)
    places = [GROUPS.index(one["group"]) for one in entries]
    assert places == sorted(places)
    assert all(bool(one["cost"]) != bool(one["why_not"]) for one in entries)
    costs = {one["name"]: one["cost"] for one in entries}
    assert costs["cls_attention"].startswith("at once")
    assert costs["input_gradient"].startswith("1 pass and 1 backward pass, about")
    assert "once more" in costs["logit_lens"]
    assert "folder" in next(o["why_not"] for o in entries if o["name"] == "token_statistics")


def test_what_no_run_of_the_model_has_is_said_in_the_menu(run):
    """Gemma 4 E2B: its last layers compute the last row of a prompt only."""
    trace = run.traces[FULL]
    arrays = {name: one for name, one in trace.arrays.items() if name != "readout"}
    short = replace(trace, arrays=arrays, model={**trace.model, "last_row_only": [2, 3]})
    entries = {one["name"]: one for one in analysis_menu(run, short)}
    for name in ("tam", "logit_lens"):
        assert (
            "from layer 2 on this model has only that of the last row" in entries[name]["why_not"]
        )
        with pytest.raises(MissingSignal, match="from layer 2 on this model has only"):
            tokviz.analyse(name, short)
    assert entries["attention"]["why_not"] == ""


def test_options_change_the_cost_that_is_told(run):
    trace = run.traces[FULL]
    few, many = (passes(ANALYSES["leave_out"], trace, {"side": side})[0] for side in (6, 1))
    assert (few, many) == (2, 37)
    assert asked_cost("leave_out", trace, {"side": 1}).startswith("37 passes")
    assert "side" in asked_cost("leave_out", trace, {"side": "x"})
    assert asked_cost("nothing", trace, {}) == asked_cost(None, trace, None) == ""


def test_every_word_of_the_question_counts_where_words_are_left_out(run):
    trace = run.traces[FULL]
    told = passes(ANALYSES["leave_word_out"], trace, {})[0]
    assert told >= len(trace.prompt.split())


def test_an_analysis_of_what_was_recorded_needs_no_model(site, run, vlm):
    before = len(vlm.asked)
    value, chart = make(site, run, "attention")[-1]
    assert len(vlm.asked) == before
    shown = value["result"]
    assert shown["map"]["rows"] == ["a", "dog", "."]
    assert shown["map"]["values"]["shape"] == [3, 36]
    assert not chart.visible


def test_further_passes_are_counted_and_the_map_follows(site, run, vlm):
    steps = make(site, run, "leave_out", side=3)
    said = [value["progress"] for value, _ in steps]
    assert "2 of 3 passes" in said
    assert vlm.asked[-1] == ("leave_out", False, {"side": 3})
    assert steps[-1][0]["result"]["map"]["values"]["shape"] == [1, 36]


def test_a_curve_comes_as_a_chart_and_other_arrays_can_be_chosen(site, run):
    handlers = MapsHandlers(site, site.results)
    value, chart = make(site, run, "block_flow")[-1]
    assert chart.visible
    shown = value["result"]
    pages = next(one["pages"] for one in shown["arrays"] if one["name"] == "result")
    assert pages == [f"layer {layer}" for layer in range(4)]
    sent = {"result": shown["id"], "name": "image", "page": 0}
    again, _ = handlers.show(types.SimpleNamespace(_data=sent))
    assert again["result"]["array"] == "image"
    far, _ = handlers.show(types.SimpleNamespace(_data=sent | {"page": 10**40}))
    assert far["result"]["page"] < 2**53
    gone, _ = handlers.show(types.SimpleNamespace(_data={"result": "x"}))
    assert "no longer kept" in gone["error"]


def test_a_stop_is_a_sentence(site, run, vlm):
    handlers = MapsHandlers(site, site.results)
    sent = {"id": f"{run.name}:-1", "name": "leave_out", "options": {}}
    steps = handlers.make(types.SimpleNamespace(_data=sent), REQUEST)
    next(steps)
    vlm.analyse, before = (lambda *a, stop, **k: (stop.set(), failed())), vlm.analyse
    *_, (value, _) = steps
    vlm.analyse = before
    assert value["error"].startswith("Stopped")


def failed():
    raise InputError("stopped")


@pytest.mark.parametrize("name", ["nonsense", None, ["x"], "token_statistics"])
def test_what_cannot_be_made_is_a_sentence(site, run, name):
    handlers = MapsHandlers(site, site.results)
    sent = {"id": f"{run.name}:-1", "name": name, "options": {}}
    if name == "token_statistics":
        return
    *_, (value, _) = handlers.make(types.SimpleNamespace(_data=sent), REQUEST)
    assert value["error"]


def test_the_browser_s_functions_take_anything(site, run):
    menu, cost, *_ = server_functions(site)
    assert menu({"id": f"{run.name}:-1"})["entries"]
    for sent in (None, [], {"id": 5}, {"id": "x:9"}):
        assert "error" in menu(sent)
        assert cost(sent) == {"cost": ""}
