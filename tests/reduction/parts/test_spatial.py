import pytest

from tokviz.errors import InputError
from tokviz.reduction.parts.spatial import grid_of, rows_cols
from tokviz.reduction.signals import Signals


def test_tokens_that_do_not_fill_their_grid_are_one_row_and_it_is_said():
    left = {"relevance": [1.0, 2, 3], "grid": [2, 2], "index": [0, 1, 3]}
    grid, notes = grid_of(Signals(left))
    assert grid == (1, 3)
    assert "do not fill" in notes[0]


def test_a_grid_for_fewer_tokens_is_refused():
    with pytest.raises(InputError, match="grid is for 4 tokens"):
        Signals({"relevance": [1.0, 2, 3, 4, 5], "grid": [2, 2]})


@pytest.mark.parametrize("grid", [[4], [2, 2, 1], [-2, -2]])
def test_grid_of_another_shape_is_refused(grid):
    with pytest.raises(InputError, match="grid must be"):
        grid_of(Signals({"relevance": [1.0, 2, 3, 4], "grid": grid}))


def test_places_are_in_raster_order():
    row, col = rows_cols((2, 3))
    assert list(row) == [0, 0, 0, 1, 1, 1]
    assert list(col) == [0, 1, 2, 0, 1, 2]
