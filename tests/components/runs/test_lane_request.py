"""One record of what is asked of a lane: what its reader reads, its writer writes."""

import ast
from dataclasses import fields, replace
from pathlib import Path

import orjson
import pytest

from components.runs.lane_request import BY_HAND, LaneRequest, lanes_json, read_lanes
from tokviz.errors import InputError

ROOT = Path(__file__).parents[3]
WHOLE = {
    "method": "fastv",
    "keep": 36,
    "positions": "repack",
    "options": {"layer": 3},
    "mitigation": "pai",
    "mitigation_options": {"alpha": 0.7},
    "forced": [1, 2],
    "forcedText": "yes",
    "prompt": "is there a dog ?",
    "model": "second",
    "layer": 2,
}
HAND = {"method": BY_HAND, "keep": 2, "options": {}, "tokens": [0, 7], "n": 8}
LINK = (
    "fastv:36;layer=3;positions=%22repack%22;.mitigation=%22pai%22;.mitigation.alpha=0.7;"
    ".forced=%5B1%2C2%5D;.forcedText=%22yes%22;.prompt=%22is%20there%20a%20dog%20%3F%22;"
    ".model=%22second%22;.layer=2"
)
OTHER = {
    "method": "divprune",
    "keep": 35,
    "positions": "keep",
    "options": {"layer": 4},
    "mitigation": "vcd",
    "mitigation_options": {"alpha": 0.8},
    "forced": [3],
    "prompt": "why ?",
    "model": "third",
    "tokens": [1],
}


@pytest.mark.parametrize("sent", [WHOLE, HAND, {"method": "", "keep": 4, "options": {}}])
def test_what_is_read_is_written(sent):
    assert lanes_json(read_lanes([sent])) == [sent]


SMALLER = {"method": "downsample", "keep": 9, "options": {}}
BLIND = {"method": "", "keep": 36, "options": {}, "mitigation": "blind"}


def test_the_baselines_stand_beside_three_methods_and_a_choice_by_hand():
    three = [{"method": "fastv", "keep": keep, "options": {}} for keep in (9, 18, 27)]
    lanes = read_lanes([*three, SMALLER, BLIND, HAND])
    assert [lane.baseline for lane in lanes] == ["", "", "", "downsample", "blind", ""]
    pai = BLIND | {"mitigation": "pai"}
    for more in ([*three, BLIND, BLIND], [*three, pai], [HAND, HAND], [SMALLER] * 7):
        with pytest.raises(InputError, match="the two baselines and one choice by hand"):
            read_lanes(more)


def test_whatever_a_lane_holds_can_be_sent_back():
    """Gradio writes with orjson, which has no longer numbers and no half of a letter."""
    deep = []
    for _ in range(500):
        deep = [deep]
    odd = {"method": "\ud800", "keep": 10**300, "layer": -(10**300), "prompt": "\ud800",
           "options": {"\ud800": 10**300, "x": deep}, "mitigation": "\ud800", "forced": [10**300],
           "mitigation_options": {"x": {"y": "\ud800"}}, "model": "\ud800", "positions": "\ud800",
           "forcedText": "\ud800", "tokens": [10**300], "n": 10**300}  # fmt: skip
    for sent in (odd, odd | {"method": BY_HAND}):
        assert orjson.dumps(lanes_json(read_lanes([sent])))
    link = LaneRequest.from_link("fastv:36;layer=%22%5Cud800%22;x=" + "9" * 400)
    assert orjson.dumps(link.to_json())


def test_every_field_is_read_and_written():
    names = {"forced_text": "forcedText"}
    known = {names.get(one.name, one.name) for one in fields(LaneRequest)}
    assert known == set(WHOLE) | set(HAND)


def test_a_link_and_json_give_the_same_lane():
    assert LaneRequest.from_link(LINK) == LaneRequest.from_json(WHOLE) != LaneRequest("fastv", 36)
    assert LaneRequest.from_link("hand:2;.tokens=%2281%22;.n=8").to_json() == HAND


@pytest.mark.parametrize("name", OTHER)
def test_a_lane_with_another_answer_has_another_key(name):
    lane = LaneRequest.from_json(WHOLE)
    assert replace(lane, **{name: OTHER[name]}).key != lane.key


def test_what_is_only_shown_is_not_in_the_key():
    lane = LaneRequest.from_json(WHOLE)
    assert replace(lane, layer=5, forced_text="no").key == lane.key


def test_no_other_module_knows_the_fields_of_a_lane_by_heart():
    """A dict display with a method and a budget is a lane; only these may hold one."""
    known = {"lane_request.py", "brush.py", "keep_sweep.py", "asking.py"}  # API arguments
    for path in (ROOT / "components").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict):
                keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
                assert not {"method", "keep"} <= keys or path.name in known, path
