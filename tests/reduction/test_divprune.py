import numpy as np
import torch

from tokviz.reduction import reduce
from tokviz.reduction.parts.similarity import cosines


def test_worked_example(t9):
    reduction = reduce("divprune", t9, 4)
    assert list(reduction.order) == [4, 7, 2, 0]
    assert list(reduction.kept) == [0, 2, 4, 7]


def test_exact_duplicates_never_waste_a_place():
    twins = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    reduction = reduce("divprune", {"feats_post": twins}, 3)
    assert list(reduction.kept) == [0, 1, 2]


def test_each_greedy_step_equals_brute_force(random_signals):
    features = random_signals(12, seed=3)["feats_post"]
    distance = 1 - cosines(torch.as_tensor(features))
    order = list(reduce("divprune", {"feats_post": features}, 6).order)
    others = [[distance[j, i] for i in range(12) if i != j] for j in range(12)]
    assert order[0] == int(np.argmax([min(o) for o in others]))
    for size in range(1, 6):
        worth = {
            j: min(distance[i, j] for i in order[:size]) for j in range(12) if j not in order[:size]
        }
        assert order[size] == max(worth, key=worth.get)


def test_scaling_a_feature_changes_nothing(random_signals):
    features = random_signals(20)["feats_post"]
    scaled = features * np.linspace(0.5, 4, 20, dtype=np.float32)[:, None]
    one = reduce("divprune", {"feats_post": features}, 6)
    assert list(one.kept) == list(reduce("divprune", {"feats_post": scaled}, 6).kept)
