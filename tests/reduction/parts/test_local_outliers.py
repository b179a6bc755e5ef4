import numpy as np

from tokviz.reduction.parts.local_outliers import count_outliers, outlier_factors

VALUES = np.array([0.3, 0.05, 0.06, 0.07, 0.08, 0.25, 0.055, 0.065, 0.07])


def test_worked_example():
    factors = outlier_factors(VALUES, 3)
    expected = [13.36, 1.11, 0.90, 0.95, 1.17, 12.28, 1.11, 1.0, 0.95]
    assert np.allclose(factors, expected, atol=0.01)
    assert count_outliers(VALUES, 3) == 2


def test_lonely_low_values_count():
    values = np.r_[0.0, np.linspace(0.5, 0.6, 30)]
    assert outlier_factors(values, 5)[0] > 1.5


def test_order_of_the_values_does_not_matter():
    rng = np.random.default_rng(0)
    values = rng.random(40)
    shuffle = rng.permutation(40)
    assert np.allclose(outlier_factors(values, 7)[shuffle], outlier_factors(values[shuffle], 7))


def test_equal_values_are_no_outliers():
    assert count_outliers(np.full(30, 0.2), 20) == 0
    assert count_outliers(np.array([0.2]), 20) == 0
