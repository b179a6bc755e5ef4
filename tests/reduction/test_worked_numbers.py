"""Numbers between the steps of the worked examples, where the steps can be told apart."""

import numpy as np
import pytest
import torch

from tokviz.reduction import reduce
from tokviz.reduction.flowcut import combined, prune_count
from tokviz.reduction.parts import bipartite
from tokviz.reduction.parts.similarity import cosines
from tokviz.reduction.vflowopt import importance_map


def test_edges_of_aim_and_dymu(at_angles):
    similarity = bipartite.cosine(torch.from_numpy(at_angles([0, 8, 40, 44, 90, 95])))
    edges = bipartite.best_edges(similarity, prefix=0)
    assert edges.best.tolist() == pytest.approx([0.9903, 0.9976, 0.9962], abs=1e-4)


def test_distances_that_divprune_picks_by(t9):
    distance = 1 - cosines(torch.from_numpy(t9["feats_post"]))
    expected = [0.0038, 0.0075, 0.0075, 0.0038, 0.1808, 0.0075, 0.0437, 0.1340, 0.0437]
    assert np.sort(distance, 0)[1] == pytest.approx(expected, abs=1e-4)
    order = reduce("divprune", t9, 4).order
    gaps = [distance[order[:i], order[i]].min() for i in (1, 2, 3)]
    assert gaps == pytest.approx([1.682, 0.3309, 0.318], abs=1e-3)


def test_similarities_that_todre_picks_by(t9):
    alike = cosines(torch.from_numpy(t9["feats_post"]))
    order = reduce("todre", t9, 4).order
    sums = [alike[order[:i], order[i]].sum() for i in (1, 2, 3)]
    assert sums == pytest.approx([-0.9962, -0.0038, -0.8192], abs=1e-4)
    order = reduce("todre", t9, 4, objective="k_centre").order
    nearest = [alike[order[:i], order[i]].max() for i in (1, 2, 3)]
    assert nearest == pytest.approx([-0.9962, 0.0872, 0.7431], abs=1e-4)


def test_shares_of_holov(t9):
    worth = reduce("holov", t9, 5, chunks=3).score.reshape(3, 3).mean(1)
    assert worth / worth.sum() == pytest.approx([0.3294, 0.3529, 0.3176], abs=1e-4)


def test_vflowopt_on_a_grid_of_four():
    """Token 3 leaves, 2 and 3 become one mean in the place of 2."""
    attention = [
        [0.4, 0.3, 0.2, 0.1],
        [0.5, 0.1, 0.3, 0.1],
        [0.4, 0.2, 0.2, 0.2],
        [0.3, 0.1, 0.5, 0.1],
    ]
    received = torch.tensor(attention).mean(0)
    assert received.tolist() == pytest.approx([0.4, 0.175, 0.3, 0.125])
    score, found = importance_map(torch.tensor(attention), 1.2)
    assert found
    assert score.tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    r = reduce("vflowopt", {"full_attn": [attention], "grid": [2, 2]}, 3, threshold=1.2, cell=2)
    assert r.position.tolist() == [0, 1, 2]
    features = np.array([[9, 9], [8, 8], [2, 2], [4, 0]], np.float32)
    assert r.apply(features)[2] == pytest.approx([2.666667, 1.333333], abs=1e-5)


def test_relation_of_flowcut():
    """The head mean of nine tokens at sum 1; likeness and value size leave it as it is."""
    relation = torch.tensor([0.2, 0.045, 0.035, 0.21, 0.065, 0.025, 0.06, 0.14, 0.07])
    expected = [0.2353, 0.0529, 0.0412, 0.2471, 0.0765, 0.0294, 0.0706, 0.1647, 0.0824]
    scores = combined(relation, torch.ones(9), torch.ones(9)) - 1 / 9
    assert scores.tolist() == pytest.approx(expected, abs=1e-4)
    # entropy 1.9629 of ln 9: .8934; 5 / 2 (1 - .7982) = .5045, which rounds up
    assert prune_count(relation / relation.sum(), 4, 4) == 1
