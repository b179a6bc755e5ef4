from tokviz.reduction import reduce


def test_middle_of_the_grid_stays():
    assert list(reduce("centre", {"grid": [3, 3]}, 1).kept) == [4]
    assert list(reduce("centre", {"grid": [3, 3]}, 5).kept) == [1, 3, 4, 5, 7]


def test_of_four_middle_tokens_the_first_wins():
    assert list(reduce("centre", {"grid": [4, 4]}, 1).kept) == [5]
