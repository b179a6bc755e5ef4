import numpy as np
import pytest

import tokviz
from tokviz.analysis.registers import robust_z


def test_worked_z_scores():
    assert robust_z(np.array([10, 11, 9, 10, 12, 60]))[5] == pytest.approx(33.39, abs=0.005)


def test_equal_norms_have_no_outlier_and_one_that_differs_is_infinitely_far():
    np.testing.assert_array_equal(robust_z(np.full(4, 7.0)), 0)
    assert np.isposinf(robust_z(np.array([1.0, 1, 1, 2]))[3])


def test_the_outlier_is_marked_from_the_layer_where_it_appears(toy):
    result = tokviz.analyse("registers", toy)
    np.testing.assert_array_equal(np.flatnonzero(result.values), [5])
    np.testing.assert_array_equal(result["count"].values, [0, 1, 1])
    assert result["attended"].values == 1


def test_an_absolute_norm_takes_the_place_of_the_score(toy):
    np.testing.assert_array_equal(
        np.flatnonzero(tokviz.analyse("registers", toy, norm=11.5).values), [4, 5]
    )
