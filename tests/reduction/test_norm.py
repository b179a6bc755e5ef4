from tokviz.reduction import reduce

FEATURES = [[3.0, 4.0], [0.0, 1.0], [6.0, 0.0], [0.0, -2.0]]


def test_longest_features_stay():
    assert list(reduce("norm", {"feats_post": FEATURES}, 2).order) == [2, 0]


def test_shortest_features_stay_on_request():
    assert list(reduce("norm", {"feats_post": FEATURES}, 2, highest=False).order) == [1, 3]
