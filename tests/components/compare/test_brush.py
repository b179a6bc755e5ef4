import types

import pytest

from components.compare.brush import BrushHandlers
from components.runs.lane_request import BY_HAND, read_lanes, read_tokens
from components.runs.pictures import Sent
from components.runs.runs import FULL, KeptRun
from tests.components.fake_vlm import N, fake_site
from tests.view.fakes import fake_trace, picture
from tokviz.errors import InputError


def by_hand(**changes):
    return {"method": BY_HAND, "keep": 2, "options": {}, "tokens": [4, 1], "n": 6} | changes


def test_a_choice_by_hand_keeps_exactly_these_tokens():
    (lane,) = read_lanes([by_hand()])
    (step,) = lane.plan().steps
    assert step.reduction.kept.tolist() == [1, 4]
    assert step.reduction.m == step.keep == 2
    assert "chosen by hand" in step.label


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": []},
        {"tokens": None},
        {"tokens": [1, 1]},
        {"tokens": [6]},
        {"tokens": [-1]},
        {"tokens": [True]},
        {"tokens": ["1"]},
        {"n": 0},
        {"n": 10**9},
        {"n": None},
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(changes):
    with pytest.raises(InputError):
        read_lanes([by_hand(**changes)])[0].plan()


def test_one_choice_by_hand_may_join_three_methods():
    method = {"method": "fastv", "keep": 2}
    assert len(read_lanes([method, method, method, by_hand()])) == 4
    with pytest.raises(InputError):
        read_lanes([by_hand(), by_hand()])


def test_what_a_method_would_keep_comes_back_as_token_numbers():
    site = fake_site()
    name = site.runs.put(KeptRun(picture(), "p", "fake", {FULL: fake_trace(6, 6)})).name
    event = types.SimpleNamespace(_data={"method": "fastv", "keep": 9})
    request = types.SimpleNamespace(session_hash="tab")
    choice = BrushHandlers(site).choose(None, Sent(), "p", "embedded", name, event, request)[
        "choice"
    ]
    assert len(choice["kept"]) == 9
    assert max(choice["kept"]) < N
    assert choice["title"] == "FastV"
    event._data["method"] = "<script>"
    assert BrushHandlers(site).choose(None, Sent(), "p", "embedded", name, event, request)[
        "choice"
    ]["error"]


def test_reading_tokens_gives_a_plain_selection():
    assert read_tokens([0, 5], 6).is_selection
