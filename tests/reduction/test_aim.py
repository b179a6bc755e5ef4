import numpy as np
import pytest

from tokviz.reduction import reduce

ANGLES = [0, 8, 40, 44, 90, 95]
VALUES = np.array([[1], [3], [10], [14], [20], [26]], np.float32)


def keys(vectors):
    return {"k": vectors[None], "index": np.arange(len(vectors))}


@pytest.mark.parametrize(("keep", "values"), [(4, [1, 3, 12, 23]), (3, [2, 12, 23])])
def test_worked_example(keep, values, at_angles):
    reduction = reduce("aim", keys(at_angles(ANGLES)), keep)
    assert np.allclose(reduction.apply(VALUES)[:, 0], values)


def test_published_rounds_of_the_budget(random_signals):
    reduction = reduce("aim", random_signals(576), 72)
    assert reduction.m == 72
    assert np.allclose(reduction.matrix().sum(1), 1, atol=1e-5)


def test_later_rounds_forget_group_sizes_unless_asked(at_angles):
    signals = keys(at_angles([0, 1, 2, 100]))
    matrices = [reduce("aim", signals, 1, sizes=sizes).matrix()[0] for sizes in (False, True)]
    assert np.allclose(matrices[1], 0.25)
    assert np.isclose(matrices[0].sum(), 1)


def test_late_joiner_weighs_as_much_as_a_group(at_angles):
    signals = keys(at_angles([0, 0, 2, 90, 1]))
    plain = reduce("aim", signals, 1).matrix()[0]
    sized = reduce("aim", signals, 1, sizes=True).matrix()[0]
    assert np.allclose(sized, 0.2)
    assert not np.allclose(plain, 0.2)


def test_no_token_is_dropped(random_signals):
    reduction = reduce("aim", random_signals(50), 11)
    assert (reduction.group >= 0).all()
    assert reduction.row_sizes.sum() == 50
