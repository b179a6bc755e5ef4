import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.signals import Signals

CROPS = [("thumbnail", 2, 2, 0, 0), ("tile", 2, 2, 0, 0), ("tile", 2, 2, 0, 2)]


def layout(**signals):
    return CropLayout.of(Signals({"index": np.arange(12), "crops": CROPS, **signals}))


def test_tokens_come_crop_after_crop_by_default():
    assert list(layout().members(1)) == [4, 5, 6, 7]
    assert layout().thumbnail == 0
    assert layout().tiles == [1, 2]


def test_interleaved_rows_are_read_from_tile_and_cell():
    tile = [0] * 4 + [1, 1, 2, 2, 1, 1, 2, 2]
    cell = [0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3]
    found = layout(tile=tile, cell=cell)
    assert list(found.members(1)) == [4, 5, 8, 9]
    canvas, row, col = found.places()
    assert list(canvas) == [0] * 4 + [1] * 8
    assert list(row[4:]) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert list(col[4:]) == [0, 1, 2, 3] * 2


def test_thumbnail_cells_belong_to_the_tile_that_shows_them():
    assert list(layout().regions()) == [0, 1, 0, 1]


def test_last_tile_takes_the_remainder():
    crops = [("thumbnail", 1, 5, 0, 0), ("tile", 1, 1, 0, 0), ("tile", 1, 1, 0, 1)]
    found = CropLayout.of(Signals({"index": np.arange(7), "crops": crops}))
    assert list(found.regions()) == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "signals",
    [
        {"index": np.arange(11)},
        {"tile": [3] * 12, "cell": [0] * 12},
        {"tile": [0] * 12, "cell": [4] * 12},
    ],
)
def test_tokens_that_fit_no_crop_are_refused(signals):
    with pytest.raises(InputError):
        layout(**signals)


@pytest.mark.parametrize("crop", ["abc", 0, ("tile", -2, 3), ("tile", 2), ("tile", "x", 2, 0, 0)])
def test_crop_that_is_none_is_refused(crop):
    with pytest.raises(InputError, match="crop"):
        Signals({"crops": [crop]})


def test_number_of_tokens_follows_from_the_crops():
    assert Signals({"crops": CROPS}).n == 12
    assert Signals({"crops": [5, 7]}).n == 12
