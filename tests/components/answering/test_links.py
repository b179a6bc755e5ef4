import pytest

from components.answering.links import read_compare, read_lane, read_query, read_view
from components.runs.lane_request import lanes_json


def test_a_view_is_read_back_from_its_link():
    query = {
        "map": "tam",
        "layer": "3",
        "words": "1,4",
        "keep": "36",
        "opacity": "50",
        "fates": "0",
    }
    assert read_view(query) == {
        "map": "tam", "layer": 3, "words": [1, 4], "keep": 36, "opacity": 50, "fates": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        {"map": "<script>"},
        {"layer": "-1"},
        {"layer": "1e9"},
        {"layer": "９"},
        {"layer": "9" * 50},
        {"words": "a,b,<img>"},
        {"fates": "maybe"},
        {"scaling": "wild"},
        {"common": "2"},
        {"hand": "xyz"},
        {"hand": "f" * 30_000},
    ],
)
def test_nonsense_is_left_out(query):
    assert read_view(query) == {"words": []}


def test_painted_tokens_scales_and_switches_come_back():
    query = {"hand": "81", "scaling": "log", "common": "1", "sinks": "0", "stage": "1"}
    assert read_view(query) == {
        "hand": [0, 7], "scaling": "log", "common": True, "sinks": False, "stage": 1, "words": [],
    }  # fmt: skip


def test_lanes_come_back_with_their_options():
    text = (
        'fastervlm:36,fastv:9;layer=3;how="x";positions="repack",<b>:1,divprune:x,a:1;__x__=1;<=2'
    )
    assert lanes_json(read_compare({"compare": text})) == [
        {"method": "fastervlm", "keep": 36, "options": {}},
        {"method": "fastv", "keep": 9, "options": {"layer": 3, "how": "x"}, "positions": "repack"},
        {"method": "a", "keep": 1, "options": {"__x__": 1}},
    ]
    assert read_compare({}) == []
    nested = "a:1;x=" + "[" * 1500
    assert read_compare({"compare": nested})[0].options["x"].startswith("[")


def test_a_lane_comes_back_with_all_it_has_of_its_own():
    text = (
        "all:144;.prompt=%22a%2C%3B%22;.mitigation=%22pai%22;.mitigation.alpha=0.7;.forced=%5B1%5D,"
        "hand:2;.tokens=%2281%22;.n=8,hand:2;.n=8,a:1;.layer=3;.model=7;.strange=1;.forced=[true]"
    )
    assert lanes_json(read_compare({"compare": text})) == [
        {
            "method": "", "keep": 144, "options": {}, "prompt": "a,;", "mitigation": "pai",
            "mitigation_options": {"alpha": 0.7}, "forced": [1],
        },
        {"method": "by hand", "keep": 2, "options": {}, "tokens": [0, 7], "n": 8},
        {"method": "a", "keep": 1, "options": {}, "layer": 3},
    ]  # fmt: skip


@pytest.mark.parametrize("address", [None, 3, [], "", "?" + "a" * 300_000])
def test_an_address_that_is_none_has_no_words(address):
    assert read_query(address) == {}


def test_a_long_list_of_words_is_cut():
    assert len(read_view({"words": "1," * 5000})["words"]) <= 200


def test_a_lane_is_a_number_or_nothing():
    assert read_lane({"lane": "2"}) == 2
    assert read_lane({"lane": "two"}) is None
    assert read_lane({}) is None
