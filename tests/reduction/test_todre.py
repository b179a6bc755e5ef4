import numpy as np

from tokviz.reduction import reduce


def test_worked_example_of_the_largest_sum(t9):
    reduction = reduce("todre", t9, 4)
    assert list(reduction.order) == [3, 7, 0, 6]
    assert list(reduction.roles["pivot"]) == [3]


def test_worked_example_of_centres(t9):
    assert list(reduce("todre", t9, 4, objective="k_centre").order) == [3, 7, 2, 4]


def test_without_cls_the_centre_patch_is_the_pivot(t9):
    t9.pop("cls_attn")
    reduction = reduce("todre", t9, 2)
    assert reduction.order[0] == 4
    assert "centre patch" in reduction.notes[0]


def test_each_step_is_the_least_similar_in_sum(random_signals):
    features = random_signals(15)["feats_post"]
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    order = list(reduce("todre", random_signals(15), 6).order)
    for step in range(1, 6):
        total = (units @ units[order[:step]].T).sum(1)
        total[order[:step]] = np.inf
        assert order[step] == total.argmin()
