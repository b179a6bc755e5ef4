import pytest
import torch

from tokviz.reduction.parts.density import densities, density_peaks

POINTS = torch.tensor([[0, 0], [0, 0.2], [4, 4], [4, 4.2], [8, 0]])


def test_densities_of_the_toy():
    _, density = densities(POINTS, 2)
    assert density.tolist() == pytest.approx([0.990050] * 4 + [0.000335], abs=1e-6)


def test_centres_and_clusters_of_the_toy():
    centres, cluster = density_peaks(POINTS, 2, torch.tensor([5e-7, 0, 3e-7, 0, 0]))
    assert centres.tolist() == [0, 2]
    assert cluster.tolist() == [0, 0, 1, 1, 1]


def test_a_centre_belongs_to_itself_among_duplicates():
    centres, cluster = density_peaks(torch.zeros(4, 2), 3)
    assert sorted(cluster[centres].tolist()) == [0, 1, 2]
