from tokviz.reduction import reduce


def test_middle_of_the_grid_stays():
    assert list(reduce("centre", {"grid": [3, 3]}, 1).kept) == [4]
    assert list(reduce("centre", {"grid": [3, 3]}, 5).kept) == [1, 3, 4, 5, 7]


def test_of_four_middle_tokens_the_first_wins():
    assert list(reduce("centre", {"grid": [4, 4]}, 1).kept) == [5]


def test_of_an_image_in_tiles_the_middle_is_that_of_the_image():
    """A thumbnail of 2 x 2 over two tiles of 2 x 2 side by side: a canvas of 2 x 4."""
    crops = [("thumbnail", 2, 2), ("tile", 2, 2, 0, 0), ("tile", 2, 2, 0, 2)]
    signals = {"crops": crops, "tile": [0] * 4 + [1] * 4 + [2] * 4, "cell": [0, 1, 2, 3] * 3}
    assert list(reduce("centre", signals, 4).kept) == [5, 7, 8, 10]
