import numpy as np
import pytest

from tokviz.reduction import reduce
from tokviz.reduction.hiprune import neighbours

MEAN = [0.2, 0.045, 0.035, 0.21, 0.065, 0.025, 0.06, 0.14, 0.07]
OBJECT = [0.09, 0.1, 0.05, 0.2, 0.06, 0.04, 0.07, 0.08, 0.03]


def run(objects, deep, **options):
    signals = {"recv_attn": {0: objects, 1: deep}, "grid": [3, 3]}
    return reduce("hiprune", signals, 6, alpha=0.8, object_layer=0, layer=1, **options)


@pytest.mark.parametrize("variant", ["code", "paper"])
def test_worked_example(variant):
    reduction = run(OBJECT, MEAN, variant=variant)
    assert list(reduction.roles["anchor"]) == [3]
    assert list(reduction.roles["buffer"]) == [0, 2, 4, 6]
    assert list(reduction.roles["register"]) == [7]
    assert list(reduction.kept) == [0, 2, 3, 4, 6, 7]


def test_worked_example_of_clamping():
    objects = [0.09, 0.1, 0.3, 0.2, 0.06, 0.04, 0.07, 0.08, 0.03]
    deep = [0.02, 0.05, 0.03, 0.1, 0.2, 0.06, 0.21, 0.14, 0.19]
    code, paper = run(objects, deep), run(objects, deep, variant="paper")
    assert list(code.kept) == [0, 1, 2, 3, 5, 6]
    assert list(code.roles["buffer"]) == [0, 1, 3, 5]
    assert list(paper.kept) == [1, 2, 3, 4, 5, 6]
    assert list(paper.roles["register"]) == [4, 6]


def test_neighbours_can_stay_in_their_row():
    assert list(neighbours(np.array([3]), (3, 3), wrap=False, clamp=False)) == [0, 4, 6]
    assert list(neighbours(np.array([3]), (3, 3), wrap=True, clamp=False)) == [0, 2, 4, 6]


@pytest.mark.parametrize(("keep", "anchors"), [(192, 4), (128, 3), (64, 1)])
def test_published_number_of_anchors(keep, anchors, random_signals):
    reduction = reduce("hiprune", random_signals(576), keep)
    assert len(reduction.roles["anchor"]) == anchors


def test_more_buffers_than_budget_never_exceed_it(random_signals):
    for keep in range(1, 16):
        assert reduce("hiprune", random_signals(16), keep, alpha=1).m == keep
