import numpy as np
import pytest
import torch

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.unmerging import groups_of, merged_back, unmerged


def test_worked_example():
    reduction = Reduction.from_groups([[0, 1], [2, 3], [4, 5]], 6)
    group = groups_of(reduction)
    assert group.tolist() == [0, 0, 1, 1, 2, 2]
    values = torch.tensor([[2.0], [12.0], [23.0]])
    assert unmerged(values, group)[:, 0].tolist() == [2, 2, 12, 12, 23, 23]


def test_copying_and_averaging_back_changes_nothing():
    x = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    group = torch.tensor([2, 0, 0, 1, 2, 2])
    assert torch.allclose(merged_back(unmerged(x, group), group, 3), x, atol=1e-6)


def test_averages_follow_the_members():
    x = torch.tensor([[1.0], [3.0], [5.0]])
    assert np.allclose(merged_back(x, torch.tensor([0, 0, 1]), 2), [[2], [5]])


def test_pruned_token_has_no_group():
    with pytest.raises(InputError, match="dropped"):
        groups_of(Reduction.select([0, 2], 3))
