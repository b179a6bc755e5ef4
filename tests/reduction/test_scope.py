import numpy as np

from tokviz.reduction import reduce


def test_worked_example(t9):
    reduction = reduce("scope", t9, 4)
    assert list(reduction.order) == [3, 7, 8, 4]
    assert np.allclose(reduction.score[[3, 7, 8, 4]], [1.6186, 0.7379, 0.2372, 0.0396], atol=1e-4)


def test_worked_example_of_plain_coverage(t9):
    reduction = reduce("scope", t9, 4, alpha=0)
    assert list(reduction.order) == [4, 6, 3, 2]
    assert np.allclose(reduction.score[[4, 6, 3, 2]], [4.7379, 2.7526, 0.7444, 0.5687], atol=1e-4)


def test_gains_of_plain_coverage_only_shrink(random_signals):
    reduction = reduce("scope", random_signals(40), 39, alpha=0)
    gains = reduction.score[reduction.order]
    assert (np.diff(gains) <= 1e-6).all()


def test_added_salience_is_the_sum_over_heads(t9):
    reduction = reduce("scope", t9, 1, combine="add")
    assert list(reduction.order) == [4]
    assert np.isclose(reduction.score[4], 4.7379 + 0.13, atol=1e-4)
