from tokviz.reduction.g_search import g_search

CANDIDATES = [0.1, 0.25, 0.5, 0.75]


def test_each_layer_gets_the_smallest_share_that_is_good_enough():
    needed = [1.0, 0.6, 0.3, 0.1]

    def good_enough(shares):
        return all(share >= need for share, need in zip(shares, needed, strict=True))

    assert g_search(good_enough, 4, CANDIDATES) == [1.0, 0.75, 0.5, 0.1]


def test_shares_never_rise_with_depth():
    def good_enough(shares):
        return shares[0] >= 0.25

    assert g_search(good_enough, 3, CANDIDATES) == [0.25, 0.1, 0.1]


def test_nothing_is_good_enough():
    assert g_search(lambda shares: min(shares) == 1, 3, CANDIDATES) == [1.0, 1.0, 1.0]
