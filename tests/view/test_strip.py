from tokviz.trace.lane_view import LaneView
from tokviz.view.strip import cell, ladder, next_budget, smallest, time_left


def cells(**states):
    return [{"keep": int(k[1:]), "state": v} for k, v in states.items()]


def test_budgets_go_from_all_to_one_in_equal_ratios():
    assert ladder(144) == [144, 83, 48, 27, 16, 9, 5, 3, 2, 1]
    assert ladder(4) == [4, 3, 2, 1]
    assert ladder(1) == [1]
    assert ladder(576)[0] == 576
    assert len(ladder(2880)) == 10


def test_a_cell_stays_changes_waits_or_says_why_not():
    def lane(text="", done=True, error=None):
        return LaneView("", text, done=done, error=error)

    assert cell(9, 36, lane(" A dog "), "a dog")["state"] == "holds"
    assert cell(9, 36, lane("a cat"), "a dog")["state"] == "changes"
    assert cell(9, 36, lane("", done=False), "a dog")["state"] == "waiting"
    assert cell(9, 36, lane("a", done=False), "a dog")["state"] == "running"
    refused = cell(9, 36, lane(error="needs [CLS]"), "a dog")
    assert (refused["state"], refused["text"], refused["share"]) == (
        "refused", "needs [CLS]", "25 %",
    )  # fmt: skip


def test_the_smallest_keep_is_the_one_above_every_change():
    said = smallest(cells(k36="holds", k18="holds", k9="changes", k4="holds", k2="changes"))
    assert said.startswith("Smallest keep that holds the answer: 18 tokens (50 %); at 9")
    assert "comes back at 4" in said
    only = smallest(cells(k36="holds", k18="changes"))
    assert only == "Only all 36 tokens hold the answer; at 18 it changes."
    assert "down to 1 token." in smallest(cells(k36="holds", k1="holds"))
    assert "every budget" in smallest(cells(k36="changes", k1="changes"))
    assert smallest(cells(k36="waiting")) == ""


def test_the_gap_above_the_last_change_is_halved_until_the_smallest_is_found():
    assert next_budget(cells(k36="holds", k18="holds", k9="changes", k4="holds")) == 13
    assert next_budget(cells(k36="holds", k13="changes", k15="holds")) == 14
    assert next_budget(cells(k36="holds", k13="changes", k14="holds")) is None
    assert next_budget(cells(k36="holds", k1="holds")) is None
    assert next_budget(cells(k36="changes", k1="changes")) is None
    assert next_budget(cells(k36="refused", k1="waiting")) is None


def test_time_left_is_what_the_rest_takes_at_this_pace():
    assert time_left(2, 8, 4.0) == "about 12 s left"
    assert time_left(0, 8, 4.0) == time_left(8, 8, 4.0) == ""
