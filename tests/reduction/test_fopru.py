import numpy as np

from tokviz.reduction import reduce

MEAN = [0.2, 0.045, 0.035, 0.21, 0.065, 0.025, 0.06, 0.14, 0.07]
SIGNALS = {"recv_attn": MEAN, "grid": [3, 3]}


def test_worked_example_of_the_rank_strategy():
    assert list(reduce("fopru", SIGNALS, 6).kept) == [0, 3, 4, 6, 7, 8]


def test_worked_example_of_the_row_strategy():
    assert list(reduce("fopru", SIGNALS, 6, strategy="row").kept) == [0, 1, 2, 3, 4, 5]


def test_what_is_left_over_goes_to_the_best_of_the_next_row():
    assert list(reduce("fopru", SIGNALS, 4, strategy="row").kept) == [0, 3, 4, 5]
    assert list(reduce("fopru", SIGNALS, 2, strategy="row").kept) == [3, 4]


def test_whole_map_gives_the_same_as_its_column_means(random_signals):
    full = random_signals(9)["full_attn"][4]
    from_map = reduce("fopru", {"full_attn": full, "cls_attn": MEAN}, 4)
    received = full.mean((0, 1))[1:]
    assert list(from_map.kept) == list(reduce("fopru", {"recv_attn": received}, 4).kept)
    assert np.allclose(from_map.score, received, atol=1e-6)
    assert from_map.notes == ()
