import numpy as np
import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.dymu import find_threshold

VALUES = np.array([[1.0], [3], [10], [14], [20], [26]], np.float32)


def toy(**more):
    radians = torch.deg2rad(torch.tensor([0.0, 8, 40, 44, 90, 95], dtype=torch.float64))
    return {"keys": torch.stack([radians.cos(), radians.sin()], 1), "prefix": 0, **more}


def test_every_edge_above_the_threshold_merges():
    r = reduce("dymu", toy(), keep=6, threshold=0.99)
    np.testing.assert_allclose(r.apply(VALUES)[:, 0], [2, 12, 23])
    assert r.row_sizes.tolist() == [2, 2, 2]
    assert r.group.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_higher_threshold_merges_less():
    r = reduce("dymu", toy(), keep=6, threshold=0.996)
    np.testing.assert_allclose(r.apply(VALUES)[:, 0], [1, 3, 12, 23])
    assert r.row_sizes.tolist() == [1, 1, 2, 2]


def test_the_budget_is_met_without_a_threshold():
    assert reduce("dymu", toy(), keep=5).m == 5


def test_at_most_half_merge_however_low_the_threshold():
    assert reduce("dymu", toy(), keep=6, threshold=0.0).m == 3


@pytest.mark.parametrize(("r", "limit", "merges"), [(1, 0.85, [2, 0]), (2, 0.60, [3, 1])])
def test_threshold_is_the_best_edge_that_does_not_merge(r, limit, merges):
    edges = [torch.tensor([0.95, 0.90, 0.85]), torch.tensor([0.80, 0.60, 0.40])]
    found = find_threshold(edges, r)
    assert found == pytest.approx(limit)
    assert [int((image > found).sum()) for image in edges] == merges


def test_thresholds_are_never_negative():
    assert find_threshold([torch.tensor([-0.5, -0.6])], 1) == 0


def test_with_every_token_kept_the_thresholds_of_all_layers_decide():
    stages = METHODS["dymu"].stages(576, 576, 24)
    assert [s.keep for s in stages] == [576] * 24
