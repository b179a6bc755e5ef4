"""One rule says whether an answer stayed the same, wherever it is asked."""

from types import SimpleNamespace

import numpy as np
import pytest

from tokviz.evaluation import same_answer
from tokviz.examine.counterfactual import find_tokens
from tokviz.view.desk import outcome
from tokviz.view.lanes import lane_card
from tokviz.view.strip import cell

SAME = [
    ("Yes, a dog.", "yes, a dog."),
    (" yes ", "Yes"),
    ("a dog.", "a dog"),
    ("ice  cream", "ice cream"),
    ("caf\u00e9", "CAFE\u0301"),
    ("don\u2019t", "don't"),
    ("两只狗。", "两只狗"),
    ("", ""),
]
OTHER = [
    ("yes", "no"),
    ("yes, a dog", "yes a dog"),
    ("a dog", "the dog"),
    ("icecream", "ice cream"),
    ("की", "का"),
    ("3.5", "35"),
    ("a dog. a cat", "a dog a cat"),
    ("🔥", "💧"),
    ("yes", ""),
]
PAIRS = [(*pair, True) for pair in SAME] + [(*pair, False) for pair in OTHER]


@pytest.mark.parametrize(("answer", "full", "same"), PAIRS)
def test_the_rule(answer, full, same):
    assert same_answer(answer, full) is same
    assert same_answer(full, answer) is same


def lane(text):
    return SimpleNamespace(
        text=text, done=True, error=None, timings={}, visual_tokens=4, kv_bytes=0, trace=None,
        finish="end",
    )  # fmt: skip


@pytest.mark.parametrize(("answer", "full", "same"), PAIRS)
def test_every_place_goes_by_it(answer, full, same):
    """Compare, keep sweep, search and desk had four rules that contradicted each other."""
    card = lane_card(lane(answer), lane(full))
    assert card["changed"] is not same
    assert card["verdict"].startswith("Same") is same
    assert (cell(2, 4, lane(answer), full)["state"] == "holds") is same
    traces = [SimpleNamespace(answer=text, finish="end") for text in (answer, full)]
    told = outcome(0, "x", *traces)
    assert told["changed"] is not same
    assert told["verdict"].startswith("Same") is same
    texts = {6: full}
    found = find_tokens(
        lambda sets: [texts.get(len(kept), answer) for kept in sets], 6, [np.arange(6)], "necessary"
    )
    assert found.found is not same
