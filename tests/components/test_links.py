import pytest

from components.links import read_lane, read_view


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
    ],
)
def test_nonsense_is_left_out(query):
    assert read_view(query) == {"words": []}


def test_a_long_list_of_words_is_cut():
    assert len(read_view({"words": "1," * 5000})["words"]) <= 200


def test_a_lane_is_a_number_or_nothing():
    assert read_lane({"lane": "2"}) == 2
    assert read_lane({"lane": "two"}) is None
    assert read_lane({}) is None
