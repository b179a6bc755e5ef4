"""The vectorised filter against a window-by-window oracle written from the formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tokviz.analysis.rank_filter import rank_gaussian_filter


def centre(window):
    return rank_gaussian_filter(np.array(window, np.float32).reshape(3, 3))[1, 1]


def slow_filter(image):
    padded, out = np.pad(image, 1, mode="reflect"), np.zeros_like(image)
    for i, j in np.ndindex(*image.shape):
        ordered = np.sort(padded[i : i + 3, j : j + 3].ravel())
        mean = ordered.mean()
        if mean == 0:
            continue
        cv = ordered.std() / mean
        if cv < 1e-6:
            out[i, j] = ordered[4]
            continue
        weights = np.exp(-((np.arange(9) - 4) ** 2) / (2 * cv**2))
        out[i, j] = (ordered * weights).sum() / weights.sum()
    return out


def test_worked_windows():
    assert centre([0, 0, 0, 0, 0, 0, 0, 1, 9]) == pytest.approx(0.521731, abs=1e-6)
    assert centre(range(1, 10)) == pytest.approx(5)
    assert centre([2] * 9) == 2
    assert centre([0] * 9) == 0


@pytest.mark.parametrize("shape", [(36, 26), (2, 3), (1, 5), (1, 1)])
def test_agrees_with_one_window_at_a_time(shape):
    image = np.random.default_rng(0).random(shape)
    image[image < 0.4] = 0
    np.testing.assert_allclose(rank_gaussian_filter(image), slow_filter(image), atol=1e-6)


def test_many_maps_at_once_are_the_same_as_one_by_one():
    maps = np.random.default_rng(1).random((2, 3, 7, 5))
    together = rank_gaussian_filter(maps)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(together[i, j], rank_gaussian_filter(maps[i, j]))


@settings(deadline=None, max_examples=40)
@given(arrays(np.float32, (4, 5), elements=st.floats(0, 1e6, width=32)))
def test_stays_within_the_window_and_is_never_nan(image):
    smoothed = rank_gaussian_filter(image)
    assert np.isfinite(smoothed).all()
    assert smoothed.min() >= image.min() * (1 - 1e-5)
    assert smoothed.max() <= image.max() * (1 + 1e-5)


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 1e4, width=32))
def test_a_constant_map_stays_as_it_is(value):
    image = np.full((3, 4), value, np.float32)
    np.testing.assert_allclose(rank_gaussian_filter(image), image, rtol=1e-6)
