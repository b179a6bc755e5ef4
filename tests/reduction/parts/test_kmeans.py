import numpy as np

from tokviz.reduction.parts.kmeans import filled, spherical_kmeans


def test_directions_that_differ_are_told_apart(at_angles):
    label = spherical_kmeans(at_angles([0, 3, 90, 92, 180, 178]), 3)
    assert list(label) == [0, 0, 1, 1, 2, 2]


def test_duplicates_still_fill_every_cluster():
    label = spherical_kmeans(np.ones((7, 3), np.float32), 4)
    assert set(label) == {0, 1, 2, 3}


def test_empty_cluster_takes_the_worst_fit():
    fit = np.array([[0.9, 0.1], [0.8, 0.1], [0.2, 0.1]])
    assert list(filled(np.array([0, 0, 0]), fit, 2)) == [0, 0, 1]


def test_nothing_to_cluster():
    assert len(spherical_kmeans(np.zeros((0, 3), np.float32), 0)) == 0
