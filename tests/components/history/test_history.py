"""Runs of a visit: opened again, and put side by side."""

import types

import pytest

from components.history.panel import TOO_FEW, HistoryHandlers
from components.runs.runs import FULL, GONE, KeptRun
from components.site import Site
from tests.view.fakes import fake_trace, picture, pruned, stage

TAB = types.SimpleNamespace(session_hash="tab")
PROMPT, SESSION, SAID, OVERLAY, LANES = 0, 1, 2, 3, 4
"""Places among a handler's values."""


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def runs(site):
    """A full answer; another question with a lane of two tokens."""
    first = KeptRun(picture(), "what ?", "tiny", {FULL: fake_trace()})
    lane = fake_trace(prompt="and ?", stages=(stage(pruned(6, 2)),))
    second = KeptRun(picture(), "and ?", "tiny", {FULL: fake_trace(prompt="and ?"), 0: lane})
    return [site.runs.put(first), site.runs.put(second)]


def event(**data):
    return types.SimpleNamespace(_data=data)


def test_a_run_is_opened_again_with_its_question_and_its_lane(site, runs):
    shown = HistoryHandlers(site).open(event(run=runs[1].name, lane=0), TAB)
    assert shown[PROMPT] == "and ?"
    assert shown[SESSION] == runs[1].name
    assert shown[OVERLAY]["id"] == f"{runs[1].name}:0"


def test_runs_stand_side_by_side_each_with_its_own_question(site, runs):
    sent = [{"run": runs[0].name, "lane": FULL}, {"run": runs[1].name, "lane": 0}]
    shown = HistoryHandlers(site).put_beside(event(runs=sent), TAB)
    assert shown[LANES]["full"]["text"] == runs[0].traces[FULL].answer
    (plan,) = shown[LANES]["plans"]
    assert plan["prompt"] == "and ?"
    assert "own question" in shown[LANES]["lanes"][0]["verdict"]
    joined = site.run(shown[SESSION])
    assert joined.traces[0] is runs[1].traces[0]
    assert set(runs[0].traces) == {FULL}  # the runs themselves stay as they were


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (None, TOO_FEW),
        ([], TOO_FEW),
        ([{"run": "x", "lane": 0}, {"run": [1], "lane": FULL}], GONE),
        ([7, None], GONE),
    ],
)
def test_what_is_not_kept_is_a_sentence(site, runs, sent, said):
    shown = HistoryHandlers(site).put_beside(event(runs=sent), TAB)
    assert shown[SAID]["text"] == said


@pytest.mark.parametrize("sent", [{}, {"run": "../x"}, {"run": 7}, {"run": None, "lane": "0"}])
def test_a_strange_run_is_not_opened(site, runs, sent):
    assert HistoryHandlers(site).open(event(**sent), TAB)[SAID]["text"] == GONE
