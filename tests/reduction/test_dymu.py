import numpy as np
import pytest
import torch

from tokviz.errors import InputError
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


def test_a_cls_edge_is_the_first_that_does_not_merge_where_all_others_do():
    """As the official code, which masks [CLS] with -inf and never returns less than 0."""
    assert find_threshold([torch.tensor([-torch.inf, 0.9, 0.8])], 2) == 0


@pytest.mark.parametrize(
    ("layer", "layers", "m"), [(0, 24, 4), (23, 24, 3), (5, 6, 3), (0, 6, 4), (4, 24, 3)]
)
def test_each_layer_has_its_own_threshold(layer, layers, m):
    signals = toy(layer=layer, num_layers=layers)
    assert reduce("dymu", signals, keep=6, thresholds="clip-l-14-336").m == m
    own = "0.996, " + "0.5 " * (layers - 1)
    assert reduce("dymu", signals, keep=6, thresholds=own).m == (4 if layer == 0 else 3)


@pytest.mark.parametrize("text", ["0.9 1.5", "high", "clip", "0.9 nan"])
def test_other_lists_are_refused(text):
    with pytest.raises(InputError, match="numbers from 0 to 1 separated by blanks"):
        METHODS["dymu"].stages(576, 576, 24, thresholds=text)
    with pytest.raises(InputError, match="numbers from 0 to 1"):
        reduce("dymu", toy(layer=0, num_layers=3), keep=6, thresholds=text)


def test_a_list_without_the_layer_is_refused():
    with pytest.raises(InputError, match="need the signals layer and num_layers"):
        reduce("dymu", toy(), keep=6, thresholds="0.9 0.8")


def test_with_every_token_kept_the_thresholds_of_all_layers_decide():
    stages = METHODS["dymu"].stages(576, 576, 24)
    assert [s.keep for s in stages] == [576] * 24
