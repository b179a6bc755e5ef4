import numpy as np
import pytest

from tokviz.reduction import reduce


def test_quarter_of_a_square_grid_is_every_second_row_and_column():
    kept = reduce("uniform", {"grid": [4, 4]}, 4).kept
    assert list(kept) == [5, 7, 13, 15]


@pytest.mark.parametrize("grid", [(1, 7), (7, 1), (3, 5), (24, 24), (2, 40)])
def test_every_budget_is_met_exactly(grid):
    n = grid[0] * grid[1]
    for keep in range(1, min(n, 60)):
        assert reduce("uniform", {"grid": grid}, keep).m == keep


def test_no_region_is_left_out():
    kept = reduce("uniform", {"grid": [24, 24]}, 64).kept
    blocks = set(zip(kept // 24 // 6, kept % 24 // 6, strict=True))
    assert len(blocks) == 16


def test_tokens_without_a_grid_are_one_row_and_it_is_said():
    reduction = reduce("uniform", {"feats_post": np.ones((8, 2))}, 2)
    assert list(reduction.kept) == [2, 6]
    assert "one row" in reduction.notes[0]
