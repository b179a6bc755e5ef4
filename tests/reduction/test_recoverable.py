import numpy as np
import pytest

from tokviz.reduction import reduce
from tokviz.reduction.recoverable import recovered_by_text

ATTENTION = [0.3, 0.05, 0.06, 0.07, 0.08, 0.25, 0.055, 0.065, 0.07]
TEXT = np.array([0.1, 0.11, 0.9, 0.12, 0.13, 0.95, 0.105, 0.97, 0.125])


@pytest.fixture
def asked(t9):
    likeness = np.stack([TEXT, np.sqrt(1 - TEXT**2)], 1)
    return {**t9, "cls_attn": ATTENTION, "img_clip": likeness, "text_clip": [[1.0, 0.0]]}


def test_worked_example(asked):
    reduction = reduce("recoverable", asked, 9, visual_neighbours=3)
    assert list(reduction.roles["visual"]) == [0, 5]
    assert list(reduction.roles["text"]) == [7]
    assert list(reduction.position[:3]) == [0, 5, 7]


def test_worked_example_of_the_recovery():
    assert list(recovered_by_text(TEXT, np.array([0, 5]), 3)) == [7]


def test_question_decides_what_comes_back(asked):
    asked["text_clip"] = [[0.0, 1.0]]
    other = reduce("recoverable", asked, 9, visual_neighbours=3)
    assert 7 not in other.roles["text"]


def test_the_rest_is_summed_by_attention(asked):
    reduction = reduce("recoverable", asked, 9, visual_neighbours=3)
    last = reduction.matrix()[-1]
    held = np.concatenate(list(reduction.roles.values()))
    left = np.setdiff1d(np.arange(9), held)
    assert np.allclose(last[left], np.array(ATTENTION)[left])
    assert not last[held].any()


def test_centres_take_in_their_neighbours_with_raw_weights(random_signals):
    reduction = reduce("recoverable", random_signals(60), 60, merged=3)
    matrix = reduction.matrix()
    for centre in reduction.roles["centre"]:
        row = matrix[list(reduction.position).index(centre)]
        assert row[centre] == 1
        assert (row != 0).sum() == 4


def test_small_budget_keeps_both_kinds(asked):
    reduction = reduce("recoverable", asked, 4, visual_neighbours=3)
    assert reduction.m == 4
    tight = reduce("recoverable", asked, 3, visual_neighbours=3)
    assert len(tight.roles["visual"]) == len(tight.roles["text"]) == 1
