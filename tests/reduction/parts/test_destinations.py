import numpy as np
import pytest
import torch

from tokviz.errors import InputError
from tokviz.reduction.parts.destinations import cell_destinations, merge_into
from tokviz.reduction.signals import Signals


def test_worked_example():
    """tomesd: a 2 x 4 grid in 2 x 2 cells has its destinations at 0 and 2."""
    assert cell_destinations((2, 4), (2, 2), None).tolist() == [0, 2]


def test_the_ragged_edge_has_no_destination():
    assert cell_destinations((3, 5), (2, 2), None).tolist() == [0, 2]


def test_a_random_destination_lies_in_its_cell():
    rng = torch.Generator().manual_seed(0)
    found = {tuple(cell_destinations((4, 4), (2, 2), rng)) for _ in range(20)}
    assert len(found) > 1
    for chosen in found:
        cells = {(token // 4 // 2, token % 4 // 2) for token in chosen}
        assert len(cells) == 4


def test_the_most_similar_sources_join_with_plain_means(at_angles):
    hidden = at_angles([0, 5, 90, 50, 10, 80])
    done = merge_into(Signals({"hidden": hidden}), 3, np.array([0, 2]), "x")
    assert done.group.tolist() == [1, 1, 2, 0, 1, 2]
    assert done.matrix()[1] == pytest.approx([1 / 3, 1 / 3, 0, 0, 1 / 3, 0])


def test_destinations_themselves_never_merge(at_angles):
    with pytest.raises(InputError, match="x never merges its 2 destinations: keep must be 2 to 3"):
        merge_into(Signals({"hidden": at_angles([0, 5, 9])}), 1, np.array([0, 2]), "x")
