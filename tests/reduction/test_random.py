import numpy as np

from tokviz.reduction import reduce


def test_same_seed_same_set_other_seed_other_set():
    signals = {"index": np.arange(100)}
    one, again = reduce("random", signals, 20), reduce("random", signals, 20)
    assert list(one.kept) == list(again.kept)
    assert list(one.kept) != list(reduce("random", signals, 20, seed=1).kept)


def test_every_token_is_chosen_about_equally_often():
    signals = {"index": np.arange(10)}
    hits = sum(
        np.bincount(reduce("random", signals, 3, seed=s).kept, minlength=10) for s in range(400)
    )
    assert hits.sum() == 1200
    assert 80 < hits.min() <= hits.max() < 160
