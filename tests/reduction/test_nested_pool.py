import numpy as np
import pytest

from tokviz.reduction import reduce


def test_worked_example():
    reduction = reduce("nested_pool", {"grid": [2, 4]}, 2)
    values = reduction.apply(np.arange(8, dtype=np.float32)[:, None])[:, 0]
    assert np.allclose(values, [2.5, 4.5])


@pytest.mark.parametrize("scale", [1, 9, 36, 144])
def test_published_scales(scale):
    reduction = reduce("nested_pool", {"grid": [24, 24]}, scale)
    assert reduction.m == scale
    assert np.allclose(reduction.matrix().sum(1), 1)
    assert (reduction.group >= 0).all()


def test_long_grid_can_become_one_token():
    reduction = reduce("nested_pool", {"grid": [1, 7]}, 1)
    assert np.allclose(reduction.matrix(), 1 / 7)
