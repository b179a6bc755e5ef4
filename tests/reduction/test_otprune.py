import numpy as np
import pytest

from tokviz.reduction import reduce


def volume(features, chosen, gamma=0.01):
    columns = features / np.linalg.norm(features, axis=0)
    gram = columns @ columns.T
    kernel = np.eye(len(gram)) + gamma * gram @ gram.T
    return np.linalg.det(kernel[np.ix_(chosen, chosen)])


def test_each_step_raises_the_determinant_most(random_signals):
    features = random_signals(15)["feats_post"].astype(np.float64)
    order = list(reduce("otprune", {"feats_post": features}, 6).order)
    for step in range(6):
        others = [token for token in range(15) if token not in order[:step]]
        gains = [volume(features, [*order[:step], token]) for token in others]
        assert others[int(np.argmax(gains))] == order[step]


def test_an_empty_column_is_no_error():
    features = np.array([[1.0, 0, 2], [3, 0, 1], [0, 0, 5]])
    assert reduce("otprune", {"feats_post": features}, 2).m == 2


def test_the_score_is_the_first_gain():
    features = np.eye(3)
    done = reduce("otprune", {"feats_post": features}, 1, gamma=0.5)
    assert done.score.tolist() == pytest.approx([1.5] * 3)
    assert done.kept.tolist() == [0]
