import numpy as np
import pytest
import torch

from tokviz.errors import InputError
from tokviz.reduction import METHODS, reduce
from tokviz.reduction.parts.destinations import cell_destinations


def toy():
    hidden = np.random.default_rng(0).standard_normal((8, 3))
    return {"hidden": hidden, "grid": [2, 4]}


def test_top_left_of_every_cell_is_a_destination():
    assert cell_destinations((2, 4), (2, 2), None).tolist() == [0, 2]


def test_half_of_the_toy_merges_inside_attention():
    r = reduce("tomesd", toy(), keep=4, random=False)
    assert r.roles["destination"].tolist() == [0, 2]
    assert len(r.roles["merged away"]) == 4
    assert (r.n, r.m) == (8, 4)


def test_means_count_the_destination_and_no_sizes():
    hidden = [[1.0, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.2], [1, 0.3], [5, -5], [-5, 5]]
    r = reduce("tomesd", {"hidden": hidden, "grid": [2, 4]}, keep=5, random=False)
    assert r.matrix()[r.group[0]].tolist() == pytest.approx([1 / 3, 1 / 3, 0, 0, 1 / 3, 0, 0, 0])


def test_random_destinations_lie_one_in_each_cell():
    rng = torch.Generator().manual_seed(1)
    chosen = cell_destinations((4, 6), (2, 2), rng)
    rows, cols = np.divmod(chosen, 6)
    assert sorted((rows // 2 * 3 + cols // 2).tolist()) == list(range(6))


def test_the_ragged_edge_holds_no_destination():
    assert cell_destinations((3, 5), (2, 2), None).tolist() == [0, 2]


def test_destinations_never_merge():
    with pytest.raises(InputError, match="its 2 destinations: keep must be 2 to 8 here, got 1"):
        reduce("tomesd", toy(), keep=1, random=False)


def test_no_token_leaves_the_tower():
    method = METHODS["tomesd"]
    assert (method.removes, method.effect) == (False, "unmerge")
    assert [s.keep for s in method.stages(144, 72, 3)] == [72, 72, 72]
