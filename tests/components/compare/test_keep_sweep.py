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


def sweep(site: Site, session: str, method="fastervlm", **options):
    handlers = SweepHandlers(site)
    event = types.SimpleNamespace(_data={"method": method, "options": options})
    return handlers.sweep("what ?", "embedded", session, event, REQUEST)


def test_every_budget_is_answered_anew_and_the_smallest_that_holds_is_said(site, vlm):
    *_, value = sweep(site, shown(site))
    keeps = [cell["keep"] for cell in value["cells"]]
    assert (keeps[0], keeps[-1]) == (N, 1)
    asked = [plan.steps[0].keep for _, plans in vlm.asked for plan in plans if plan]
    assert sorted(asked, reverse=True) == keeps[1:]
    assert [cell["state"] for cell in value["cells"]] == [
        "holds" if keep >= N // 2 else "changes" for keep in keeps
    ]
    assert f"Smallest keep that holds the answer: {N // 2} tokens" in value["conclusion"]
    assert f"at {N // 2 - 1} it changes" in value["conclusion"]


def test_a_cell_opens_as_a_lane_with_its_own_settings(site):
    *_, value = sweep(site, shown(site))
    cell = next(cell for cell in value["cells"] if cell["keep"] == N // 2)
    event = types.SimpleNamespace(_data={"run": value["run"], "lane": cell["lane"]})
    session, _, overlay, lanes, *_ = SweepHandlers(site).open_cell(event)
    keep = N // 2
    assert lanes["plans"] == [site.run(session).lanes[0].to_json()]
    assert lanes["plans"][0]["keep"] == keep
    assert overlay["id"] == f"{session}:0"
    assert site.run(session).traces[0].reduction.m == keep


def test_a_quick_model_does_not_flood_the_page(monkeypatch):
    """The clock is 10 ms later each time it is read; the strip is sent every UPDATE_INTERVAL_S."""
    clock = count(1, 0.01)
    monkeypatch.setattr(keep_sweep, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    slow = FakeVLM(steps=40)
    site = fake_site(slow)
    values = [value for value in sweep(site, shown(site)) if value["phase"] == "running"]
    lasted = 0.01 * (slow.steps + 1) * len(values[-1]["cells"])
    assert 2 <= len(values) <= lasted / keep_sweep.UPDATE_INTERVAL_S + 3


@pytest.mark.parametrize("sent", [{}, {"run": "x", "lane": 1}, {"run": None, "lane": True}])
def test_a_cell_that_is_not_there_is_a_sentence(site, sent):
    said = SweepHandlers(site).open_cell(types.SimpleNamespace(_data=sent))[1]
    assert said["kind"] == "bad"


def test_the_stop_button_leaves_the_budgets_that_were_done(site, vlm):
    values, vlm.steps, vlm.pause = [], 1, 0.1
    for value in sweep(site, shown(site)):
        values.append(value)
        if sum(cell["state"] == "holds" for cell in value["cells"]) == 1:
            site.stops.stop("sweeper")
    states = [cell["state"] for cell in values[-1]["cells"]]
    assert values[-1]["phase"] == "done"
    assert states[0] == "holds"
    assert states[-1] == "waiting"


@pytest.mark.parametrize("method", ["nonsense", None, ["x"], "by hand"])
def test_a_method_that_does_not_exist_is_a_sentence(site, method):
    *_, value = sweep(site, shown(site), method)
    assert value["error"]
    assert not value["cells"]


def test_without_a_run_there_is_nothing_to_sweep(site):
    *_, value = sweep(site, "")
    assert "Ask a question first" in value["error"]
