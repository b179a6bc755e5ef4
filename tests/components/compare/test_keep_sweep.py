import types
from itertools import count
from types import SimpleNamespace

import pytest

from components.compare import keep_sweep
from components.compare.keep_sweep import Sweeping, open_cell
from components.runs.models import Models
from components.runs.runs import FULL, RUNS, STOPS, Run
from components.state import Site
from tests.components.fake_vlm import FakeVLM, N
from tests.view.fakes import fake_trace, picture

REQUEST = types.SimpleNamespace(session_hash="sweeper")


def shown() -> str:
    return RUNS.put(Run(picture(), "what ?", "fake", {FULL: fake_trace(6, 6)})).name


def sweep(session: str, method="fastervlm", vlm=None, **options):
    handlers = Sweeping(Site(models=Models(load=lambda name: vlm or FakeVLM())))
    event = types.SimpleNamespace(_data={"method": method, "options": options})
    return handlers.sweep("what ?", "embedded", session, event, REQUEST)


def test_every_budget_is_answered_anew_and_the_smallest_that_holds_is_said():
    vlm = FakeVLM()
    *_, value = sweep(shown(), vlm=vlm)
    keeps = [cell["keep"] for cell in value["cells"]]
    assert (keeps[0], keeps[-1]) == (N, 1)
    asked = [plan.steps[0].keep for _, plans in vlm.asked for plan in plans if plan]
    assert sorted(asked, reverse=True) == keeps[1:]
    assert [cell["state"] for cell in value["cells"]] == [
        "holds" if keep >= N // 2 else "changes" for keep in keeps
    ]
    assert f"Smallest keep that holds the answer: {N // 2} tokens" in value["said"]
    assert f"at {N // 2 - 1} it changes" in value["said"]


def test_a_cell_opens_as_a_lane_with_its_own_settings():
    *_, value = sweep(shown())
    cell = next(cell for cell in value["cells"] if cell["keep"] == N // 2)
    event = types.SimpleNamespace(_data={"run": value["run"], "lane": cell["lane"]})
    session, _, overlay, lanes, *_ = open_cell(event)
    keep = N // 2
    assert lanes["plans"] == [{**RUNS.get(session).plans[0]}]
    assert lanes["plans"][0]["keep"] == keep
    assert overlay["id"] == f"{session}:0"
    assert RUNS.get(session).traces[0].reduction.m == keep


def test_a_quick_model_does_not_flood_the_page(monkeypatch):
    """Every look at the clock finds it 10 ms later; the strip is sent every PACE seconds."""
    clock = count(1, 0.01)
    monkeypatch.setattr(keep_sweep, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    slow = FakeVLM(steps=40)
    values = [value for value in sweep(shown(), vlm=slow) if value["phase"] == "running"]
    lasted = 0.01 * (slow.steps + 1) * len(values[-1]["cells"])
    assert 2 <= len(values) <= lasted / keep_sweep.PACE + 3


@pytest.mark.parametrize("sent", [{}, {"run": "x", "lane": 1}, {"run": None, "lane": True}])
def test_a_cell_that_is_not_there_is_a_sentence(sent):
    said = open_cell(types.SimpleNamespace(_data=sent))[1]
    assert said["kind"] == "bad"


def test_the_stop_button_leaves_the_budgets_that_were_done():
    values, slow = [], FakeVLM(steps=1)
    slow.pause = 0.1
    for value in sweep(shown(), vlm=slow):
        values.append(value)
        if sum(cell["state"] == "holds" for cell in value["cells"]) == 1:
            STOPS.stop("sweeper")
    states = [cell["state"] for cell in values[-1]["cells"]]
    assert values[-1]["phase"] == "done"
    assert states[0] == "holds"
    assert states[-1] == "waiting"


@pytest.mark.parametrize("method", ["nonsense", None, ["x"], "by hand"])
def test_a_method_that_does_not_exist_is_a_sentence(method):
    *_, value = sweep(shown(), method)
    assert value["error"]
    assert not value["cells"]


def test_without_a_run_there_is_nothing_to_sweep():
    *_, value = sweep("")
    assert "Ask a question first" in value["error"]
