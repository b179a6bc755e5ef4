import numpy as np
import torch

from tokviz.matrix import Reduction
from tokviz.reduction.parts.grouping import merge_labels, merged_sizes


def test_weighted_means_and_lowest_representatives():
    label = torch.tensor([1, 0, 1, -1])
    r = merge_labels(label, torch.tensor([1.0, 1, 3, 1]), torch.tensor([7, 2, 5, 0]))
    np.testing.assert_allclose(r.matrix(), [[0, 1, 0, 0], [0.25, 0, 0.75, 0]])
    assert r.position.tolist() == [1, 2]
    assert r.fate.tolist() == [1, 0, 1, 2]
    other = merge_labels(label, torch.ones(4), torch.tensor([5, 2, 7, 0]))
    assert other.position.tolist() == [1, 0]


def test_sizes_of_a_shared_token_are_divided():
    r = Reduction.from_entries([0, 0, 1, 1], [0, 1, 1, 2], [0.5, 0.5, 0.25, 0.75], 3, 2, [0, 2])
    np.testing.assert_allclose(merged_sizes(r, np.array([1.0, 3, 2])), [3, 3])
