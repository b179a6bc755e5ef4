import pytest
import torch

from tokviz.reduction.parts.kmedoids import kkz_start, kmedoids

POINTS = torch.tensor([[0.0], [1], [2], [10], [11], [20]])
DISTANCES = torch.cdist(POINTS, POINTS)


@pytest.mark.parametrize(
    ("k", "medoids", "cluster"),
    [(2, [1, 4], [0, 0, 0, 1, 1, 1]), (3, [1, 3, 5], [0, 0, 0, 1, 1, 2])],
)
def test_worked_example(k, medoids, cluster):
    found, owner = kmedoids(POINTS, DISTANCES, k)
    assert (found.tolist(), owner.tolist()) == (medoids, cluster)


def test_the_start_is_the_longest_vector_then_always_the_farthest():
    assert kkz_start(POINTS, DISTANCES, 3).tolist() == [5, 0, 3]


def test_duplicates_never_share_a_medoid():
    same = torch.zeros(4, 2)
    medoids, owner = kmedoids(same, torch.cdist(same, same), 3)
    assert sorted(set(medoids.tolist())) == medoids.tolist()
    assert set(owner.tolist()) == {0, 1, 2}


def test_every_token_its_own_cluster():
    assert kmedoids(POINTS, DISTANCES, 6)[1].tolist() == list(range(6))
