import types
from itertools import count
from types import SimpleNamespace

import pytest

from components.compare import keep_sweep
from components.compare.keep_sweep import SweepHandlers
from components.runs.runs import FULL, KeptRun
from components.site import Site
from tests.components.fake_vlm import FakeVLM, N, fake_site
from tests.view.fakes import fake_trace, picture

REQUEST = types.SimpleNamespace(session_hash="sweeper")


@pytest.fixture
def vlm() -> FakeVLM:
    return FakeVLM()


@pytest.fixture
def site(vlm) -> Site:
    return fake_site(vlm)


def shown(site: Site) -> str:
    return site.runs.put(KeptRun(picture(), "what ?", "fake", {FULL: fake_trace(6, 6)})).name


def sweep(site: Site, session: str, *methods, held=None, blind=False):
    sent = [{"method": method, "options": {}} for method in methods or ("fastervlm",)]
    event = types.SimpleNamespace(_data={"methods": sent, "held": held, "blind": blind})
    for value, _ in SweepHandlers(site).sweep("what ?", "embedded", session, event, REQUEST):
        yield value


def judge(site: Site, run: str, **held):
    event = types.SimpleNamespace(_data={"run": run, "held": held})
    return SweepHandlers(site).judge(event)


def cells(value, method=0):
    return value["methods"][method]["cells"]


def test_every_budget_is_answered_anew_and_the_smallest_that_holds_is_said(site, vlm):
    *_, value = sweep(site, shown(site))
    keeps = [cell["keep"] for cell in cells(value)]
    assert (keeps[0], keeps[-1]) == (N, 1)
    asked = {plan.steps[0].keep for _, plans in vlm.asked for plan in plans if plan}
    assert asked == set(keeps[1:])
    assert [cell["state"] for cell in cells(value)] == [
        "holds" if keep >= N // 2 else "changes" for keep in keeps
    ]
    said = value["methods"][0]["conclusion"]
    assert f"Smallest keep that holds the answer: {N // 2} tokens" in said
    assert f"at {N // 2 - 1} it changes" in said


def test_what_must_hold_are_the_words_with_content_unless_others_are_chosen(site):
    *_, value = sweep(site, shown(site))
    assert value["holds"] == "“red”, “dog”"
    red, chart = judge(site, value["run"], mode="words", words=[0], threshold=0.5)
    assert {cell["state"] for cell in cells(red)} == {"holds"}
    assert "every budget" in red["methods"][0]["conclusion"]
    assert chart.visible
    likely, _ = judge(site, value["run"], mode="probability", words=[0, 1], threshold=0.1)
    assert {cell["state"] for cell in cells(likely)} == {"holds"}
    whole, _ = judge(site, value["run"], mode="answer", words=[], threshold=0.5)
    assert {cell["state"] for cell in cells(whole)} == {"holds", "changes"}


def test_several_methods_have_a_curve_each_of_p_over_kept_tokens(site):
    *_, value = sweep(site, shown(site), "fastervlm", "divprune")
    assert [one["title"] for one in value["methods"]] == ["FasterVLM", "DivPrune"]
    run = site.run(value["run"])
    lines = [line for line in run.sweep.chart().data if "lines" in line.mode]
    assert [line.name for line in lines] == ["FasterVLM", "DivPrune"]
    low, high = lines[0].y[0], lines[0].y[-1]
    assert (round(low, 2), round(high, 2)) == (0.2, 0.9)
    lanes = [cell["lane"] for cell in cells(value, 1)]
    assert all(run.lanes[lane].method == "divprune" for lane in lanes if lane != FULL)


def test_the_answer_without_the_picture_is_a_level_below_the_curves(site):
    *_, value = sweep(site, shown(site), blind=True)
    assert (value["blind"]["text"], value["blind"]["state"]) == ("nothing", "changed")
    assert value["blind"]["lowest"] == pytest.approx(0.1)
    assert "without the picture" in str(site.run(value["run"]).sweep.chart().layout.annotations)
    *_, value = sweep(site, shown(site))
    assert value["blind"] is None


def test_a_method_that_refuses_every_budget_says_why_once(site, vlm, monkeypatch):
    def refuse(view, plan, image, step):
        refused = plan is not None and plan.steps[0].method == "downsample"
        view.text, view.done = "red dog.", True
        view.tokens = () if refused else ("red", " dog", ".")
        view.error = "this model makes 36 of this picture at every size." if refused else ""

    monkeypatch.setattr(vlm, "_step", refuse)
    six = ["fastervlm", "divprune", "fastv", "tome", "visionzip", "prumerge"]
    *_, value = sweep(site, shown(site), *six, "downsample")
    assert [one["refused"] for one in value["methods"]] == [False] * 6 + [True]
    assert (
        value["methods"][-1]["conclusion"] == "this model makes 36 of this picture at every size."
    )
    *_, value = sweep(site, shown(site), *six, "random")
    assert "Choose 1 to 6 methods, got 7" in value["error"]


def test_a_cell_opens_in_the_viewer_and_compare_stays_as_it_is(site):
    *_, value = sweep(site, shown(site))
    cell = next(cell for cell in cells(value) if cell["keep"] == N // 2)
    event = types.SimpleNamespace(_data={"run": value["run"], "lane": cell["lane"]})
    session, _, overlay, lanes, *_ = SweepHandlers(site).open_cell(event)
    run = site.run(value["run"])
    assert overlay["id"] == f"{value['run']}:{cell['lane']}"
    assert run.traces[cell["lane"]].reduction.m == N // 2
    assert "plans" not in lanes
    assert not isinstance(session, str)


def test_a_quick_model_does_not_flood_the_page(monkeypatch):
    """The clock is 10 ms later each time it is read; the strip is sent every UPDATE_INTERVAL_S."""
    clock = count(1, 0.01)
    monkeypatch.setattr(keep_sweep, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    slow = FakeVLM(steps=40)
    site = fake_site(slow)
    values = [value for value in sweep(site, shown(site)) if value["phase"] == "running"]
    lasted = 0.01 * 2 * (slow.steps + 1) * len(cells(values[-1]))
    assert 2 <= len(values) <= 2 * lasted / keep_sweep.UPDATE_INTERVAL_S + 20


@pytest.mark.parametrize("sent", [{}, {"run": "x", "lane": 1}, {"run": None, "lane": True}])
def test_a_cell_that_is_not_there_is_a_sentence(site, sent):
    said = SweepHandlers(site).open_cell(types.SimpleNamespace(_data=sent))[1]
    assert said["kind"] == "bad"
    assert judge(site, sent.get("run"))[0]["error"]


def test_the_stop_button_leaves_the_budgets_that_were_done(site, vlm):
    values, vlm.steps, vlm.pause = [], 1, 0.1
    for value in sweep(site, shown(site)):
        values.append(value)
        found = cells(value) if value["methods"] else []
        if sum(bool(cell.get("same")) for cell in found) >= 2:
            site.stops.stop("sweeper")
    states = [cell["state"] for cell in cells(values[-1])]
    assert values[-1]["phase"] == "done"
    assert states[0] == "holds"
    assert "waiting" in states


@pytest.mark.parametrize("method", ["nonsense", None, ["x"], "by hand", ""])
def test_a_method_that_does_not_exist_is_a_sentence(site, method):
    *_, value = sweep(site, shown(site), method)
    assert value["error"]
    assert not value["methods"]


@pytest.mark.parametrize(
    "held",
    [{"mode": "x"}, {"mode": "words", "words": "a"}, {"mode": "words", "words": [-1, 99999, None]},
     {"mode": "probability", "threshold": float("nan")}, [], 5],
)  # fmt: skip
def test_what_must_hold_may_be_anything_and_breaks_nothing(site, held):
    *_, value = sweep(site, shown(site), held=held)
    assert not value["error"]
    assert value["methods"]


def test_without_a_run_there_is_nothing_to_sweep(site):
    *_, value = sweep(site, "")
    assert "Ask a question first" in value["error"]
