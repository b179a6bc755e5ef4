import pytest

from tokviz.errors import InputError
from tokviz.reduction.parts.spatial import grid_of, rows_cols
from tokviz.reduction.signals import Signals


def test_grid_that_does_not_fit_is_one_row_and_it_is_said():
    grid, notes = grid_of(Signals({"relevance": [1.0, 2, 3, 4, 5], "grid": [2, 2]}))
    assert grid == (1, 5)
    assert "do not fill" in notes[0]


@pytest.mark.parametrize("grid", [[4], [2, 2, 1], [-2, -2]])
def test_grid_of_another_shape_is_refused(grid):
    with pytest.raises(InputError, match="grid must be"):
        grid_of(Signals({"relevance": [1.0, 2, 3, 4], "grid": grid}))


def test_places_are_in_raster_order():
    row, col = rows_cols((2, 3))
    assert list(row) == [0, 0, 0, 1, 1, 1]
    assert list(col) == [0, 1, 2, 0, 1, 2]
