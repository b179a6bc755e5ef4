import numpy as np
import pytest

from tests.fakes import six_token_layout
from tokviz.errors import InputError
from tokviz.examine.pointing import (
    otsu_threshold,
    overlap,
    pointing_energy,
    pointing_hit,
    tokens_inside,
)


def test_worked_pointing_game_and_energy():
    importance = np.array([[0.1, 0.2], [0.6, 0.1]])
    region = np.array([[False, False], [True, True]])
    assert pointing_hit(importance, region)
    assert pointing_energy(importance, region) == pytest.approx(0.7)
    assert not pointing_hit(importance, ~region)


def test_worked_overlap():
    importance = np.full((4, 4), 10)
    importance[:2, :2] = 200
    region = np.zeros((4, 4), bool)
    region[:2, :3] = True
    found = overlap(importance, region)
    assert found["iou"] == pytest.approx(0.6667, abs=1e-4)
    assert found["precision"] == 1
    assert found["recall"] == pytest.approx(0.6667, abs=1e-4)


def test_otsu_splits_two_heaps_between_them():
    values = np.array([1, 2, 3, 100, 101, 102])
    np.testing.assert_array_equal(values > otsu_threshold(values), [False] * 3 + [True] * 3)
    assert otsu_threshold(np.full(4, 7)) == 7


def test_a_constant_map_points_nowhere():
    found = overlap(np.ones(4), np.array([True, False, False, False]))
    assert found == {"iou": 0, "precision": 0, "recall": 0}
    assert pointing_energy(np.zeros(4), np.ones(4, bool)) == 0
    with pytest.raises(InputError, match="negative"):
        pointing_energy(np.array([-1, 2]), np.ones(2, bool))


def test_a_region_in_pixels_picks_the_tokens_whose_middle_it_holds():
    """Tokens are 10×10 pixels in a 30×20 image."""
    layout = six_token_layout()
    found = tokens_inside(layout, [(8, 0, 20, 10), (0, 12, 6, 20)])
    np.testing.assert_array_equal(np.flatnonzero(found), [1, 3])
    assert not tokens_inside(layout, [(0, 0, 30, 20)], image=1).any()
