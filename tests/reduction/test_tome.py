import numpy as np
import pytest
import torch

import tokviz.reduction as reduction
from tokviz.errors import InputError
from tokviz.reduction.parts.bipartite import best_edges, halves
from tokviz.reduction.parts.grouping import merged_sizes

VALUES = np.array([[1.0], [2], [3], [4], [5]], np.float32)


def angles(*degrees):
    radians = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([radians.cos(), radians.sin()], 1)


def toy(**more):
    """[CLS] at 0 degrees, five patches; positions count [CLS], so patches 1 and 3 are even."""
    return {"keys": angles(0, 10, 90, 100, 45), **more}


def test_positions_count_the_cls_token():
    assert [h.tolist() for h in halves(5, prefix=1)] == [[1, 3], [0, 2, 4]]
    assert [h.tolist() for h in halves(5, prefix=0)] == [[0, 2, 4], [1, 3]]


def test_toy_similarities_are_the_published_ones():
    keys = angles(0, 10, 90, 100, 45)
    table = (keys @ keys.T)[[1, 3]][:, [0, 2, 4]]
    np.testing.assert_allclose(
        table, [[0.984808, 0.173648, 0.819152], [-0.173648, 0.984808, 0.573576]], atol=1e-6
    )
    assert best_edges(keys @ keys.T, 1).partner.tolist() == [0, 1]


def test_two_merges_of_the_toy():
    r = reduction.reduce("tome", toy(), keep=3)
    np.testing.assert_allclose(r.apply(VALUES)[:, 0], [1.5, 3.5, 5])
    assert r.row_sizes.tolist() == [2, 2, 1]
    assert r.group.tolist() == [0, 0, 1, 1, 2]
    unmerged = r.apply(VALUES)[r.group, 0]
    np.testing.assert_allclose(unmerged, [1.5, 1.5, 3.5, 3.5, 5])


def test_one_merge_puts_unmerged_even_patches_first():
    # both best edges span 10 degrees: the lower patch merges, the other stays and comes first
    r = reduction.reduce("tome", toy(), keep=4)
    np.testing.assert_allclose(r.apply(VALUES)[:, 0], [4, 1.5, 3, 5])
    assert r.group.tolist() == [1, 1, 2, 0, 3]


def test_one_layer_cannot_merge_more_than_half():
    with pytest.raises(InputError, match="keep must be 3 to 5 here, got 2"):
        reduction.reduce("tome", toy(), keep=2)


def test_means_weigh_each_token_by_its_patches():
    r = reduction.reduce("tome", toy(sizes=[1, 3, 1, 1, 1]), keep=3)
    np.testing.assert_allclose(r.apply(VALUES)[0], [(1 + 3 * 2) / 4])
    assert merged_sizes(r, np.array([1, 3, 1, 1, 1])).tolist() == [4, 2, 1]


def test_representative_is_the_member_with_the_lowest_original_number():
    r = reduction.reduce("tome", toy(index=[9, 4, 1, 7, 3]), keep=3)
    assert r.position.tolist() == [1, 2, 4]


def test_without_cls_unmerged_patches_come_in_order_of_similarity():
    r = reduction.reduce("tome", {"keys": angles(0, 8, 40, 44, 90, 95), "prefix": 0}, keep=4)
    values = np.array([[1.0], [3], [10], [14], [20], [26]], np.float32)
    np.testing.assert_allclose(r.apply(values)[:, 0], [1, 3, 12, 23])


def test_ties_go_to_the_lower_patch():
    r = reduction.reduce("tome", {"keys": torch.ones(6, 2)}, keep=5)
    assert r.order.tolist() == [1]
    assert r.group.tolist() == [2, 2, 3, 0, 4, 1]


@pytest.mark.parametrize(
    ("r", "left"), [(8, 384), (16, 192), (21, 72), (23, 24)]
)  # CLIP-L/14-336: 576 patches, 24 layers
def test_schedule_of_constant_r_matches_the_published_counts(r, left):
    stages = reduction.METHODS["tome"].stages(576, left, 24)
    assert [s.keep for s in stages] == [576 - r * (layer + 1) for layer in range(24)]


def test_remainder_goes_to_the_first_layers():
    stages = reduction.METHODS["tome"].stages(20, 13, 3)
    assert [(s.layer, s.keep) for s in stages] == [(0, 17), (1, 15), (2, 13)]


def test_a_small_budget_moves_merging_to_earlier_layers():
    counts = [144] + [s.keep for s in reduction.METHODS["tome"].stages(144, 5, 6)]
    assert counts[-1] == 5
    assert all(later >= -(-now // 2) for now, later in zip(counts, counts[1:], strict=False))


def test_unreachable_budget_says_the_smallest():
    with pytest.raises(InputError, match="down to 3 at best, got keep = 2"):
        reduction.METHODS["tome"].stages(144, 2, 6)


def test_decreasing_schedule_removes_most_in_the_first_layer():
    counts = [576] + [
        s.keep for s in reduction.METHODS["tome"].stages(576, 192, 24, schedule="decreasing")
    ]
    removed = -np.diff(counts)
    assert removed[0] == 32
    assert (np.diff(removed) <= 1).all()
    assert counts[-1] == 192


def test_spaced_tokens_stay_and_each_other_joins_the_most_similar():
    done = reduction.reduce("tome", toy(), 3, matching="spaced")
    assert done.group.tolist() == [0, 1, 2, 2, 1]  # those at 0, 10 and 100 degrees stay


def test_random_tokens_leave_by_seed():
    signals = {"keys": angles(*range(0, 80, 10))}
    one, again = (reduction.reduce("tome", signals, 5, matching="random") for _ in range(2))
    assert one.group.tolist() == again.group.tolist()
    others = [reduction.reduce("tome", signals, 5, matching="random", seed=s) for s in (1, 2, 3)]
    assert any(o.group.tolist() != one.group.tolist() for o in others)
    assert one.m == 5
