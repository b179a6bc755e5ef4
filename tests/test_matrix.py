"""W says the truth: fates, groups, composition, conservation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokviz.errors import InputError
from tokviz.matrix import KEPT, MERGED, PRUNED, Reduction


def test_a_selection_keeps_its_tokens_in_order_and_prunes_the_rest():
    r = Reduction.select([4, 1, 4], 6)
    assert r.matrix().tolist() == [[0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]]
    assert r.kept.tolist() == [1, 4]
    assert r.fate.tolist() == [PRUNED, KEPT, PRUNED, PRUNED, KEPT, PRUNED]
    assert r.group.tolist() == [-1, 0, -1, -1, 1, -1]
    assert r.is_selection


def test_a_merge_is_the_mean_weighted_by_size():
    r = Reduction.from_groups([[0, 2], [1]], 4, sizes=[3, 1, 1, 1])
    assert r.matrix().tolist() == [[0.75, 0, 0.25, 0], [0, 1, 0, 0]]
    assert r.fate.tolist() == [MERGED, KEPT, MERGED, PRUNED]
    assert r.apply(np.array([[4.0], [7], [8], [9]])).tolist() == [[5.0], [7.0]]


def test_a_token_alone_with_another_weight_is_not_kept_as_it_is():
    r = Reduction.from_entries([0], [1], [0.5], 2, 1, [1])
    assert r.fate.tolist() == [PRUNED, MERGED]
    assert not r.is_selection


def test_kept_wins_where_a_token_is_also_merged():
    r = Reduction.from_entries([0, 1, 1], [0, 0, 1], [1, 0.5, 0.5], 2, 2, [0, 1])
    assert r.fate.tolist() == [KEPT, MERGED]
    assert r.group.tolist() == [0, 1]


def test_a_token_shared_equally_belongs_to_the_lower_output_token():
    shared = Reduction.from_entries([0, 0, 1, 1], [0, 1, 1, 2], [0.5] * 4, 3, 2, [0, 2])
    assert shared.group.tolist() == [0, 0, 1]
    unequal = Reduction.from_entries(
        [0, 0, 1, 1], [0, 1, 1, 2], [0.75, 0.25, 0.5, 0.5], 3, 2, [0, 2]
    )
    assert unequal.group.tolist() == [0, 1, 1]


def test_stages_multiply():
    first = Reduction.from_groups([[0, 1], [2], [3]], 5)
    second = Reduction.from_groups([[0, 1], [2]], 3)
    both = first.then(second)
    assert np.allclose(both.matrix(), second.matrix() @ first.matrix())
    assert both.position.tolist() == [0, 3]
    assert both.fate.tolist() == [MERGED, MERGED, MERGED, KEPT, PRUNED]
    with pytest.raises(InputError, match="takes 3 tokens, this one gives 2"):
        second.then(second)


def test_what_an_output_token_gets_goes_back_to_its_members_by_weight():
    r = Reduction.from_entries([0, 0, 1], [0, 1, 3], [0.75, 0.25, 1], 4, 2, [0, 3])
    assert r.spread(np.array([8.0, 3.0])).tolist() == [6, 2, 0, 3]
    assert Reduction.select([2], 3).spread(np.array([[5.0]])).tolist() == [[0, 0, 5]]
    assert Reduction.select([], 3).spread(np.zeros((2, 0))).shape == (2, 3)


def test_raster_order_sorts_rows_by_representative_and_changes_nothing_else():
    r = Reduction.from_groups([[3, 4], [0], [1, 2]], 5)
    ordered = r.in_raster_order()
    assert ordered.position.tolist() == [0, 1, 3]
    assert np.array_equal(ordered.matrix(), r.matrix()[[1, 2, 0]])


@pytest.mark.parametrize(
    ("rows", "cols", "weights", "position"),
    [([2], [0], [1], [0, 0]), ([0], [9], [1], [0, 0]), ([0], [0], [np.nan], [0, 0]),
     ([0], [0], [1], [0]), ([0], [0], [1], [0, 9]), ([0, 1], [0], [1], [0, 0])],
)  # fmt: skip
def test_entries_that_make_no_matrix_are_refused(rows, cols, weights, position):
    with pytest.raises(InputError):
        Reduction.from_entries(rows, cols, weights, 3, 2, position)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.data())
def test_any_partition_conserves_mass_and_composes_like_matrices(labels, data):
    groups = [np.flatnonzero(np.array(labels) == g) for g in sorted(set(labels))]
    first = Reduction.from_groups(groups, len(labels))
    assert np.allclose(first.matrix().sum(1), 1)
    kept = data.draw(st.sets(st.integers(0, first.m - 1), min_size=1))
    both = first.then(Reduction.select(sorted(kept), first.m))
    assert np.allclose(both.matrix(), first.matrix()[sorted(kept)])
    values = np.arange(both.m, dtype=np.float32)
    assert np.isclose(both.spread(values).sum(), values.sum())
