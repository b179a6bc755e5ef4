"""W says the truth: fates, groups, composition, conservation."""

import numpy as np
import pytest
import torch
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


def test_a_mean_of_whole_numbers_is_no_whole_number():
    """Weights of 1/2 were once cast to int, so merged integer tokens came out as 0."""
    pair = Reduction.from_groups([[0, 1], [2]], 3)
    out = pair.apply(np.array([[1], [2], [5]]))
    assert out.dtype == np.float32
    assert out.tolist() == [[1.5], [5]]


def test_torch_tensors_are_merged_as_arrays_are():
    pair = Reduction.from_groups([[0, 1], [2]], 3)
    x = np.random.default_rng(0).standard_normal((3, 2, 4))
    for tensor in (torch.tensor(x), torch.tensor(x, dtype=torch.float32)):
        out = pair.apply(tensor)
        assert out.dtype == tensor.dtype
        assert np.allclose(out, pair.apply(x), atol=1e-6)
    half = pair.apply(torch.tensor(x, dtype=torch.bfloat16))
    assert half.dtype == torch.bfloat16
    assert pair.apply(torch.tensor([1, 2, 5])).tolist() == [1.5, 5]
    one = Reduction.select([2], 3)
    assert one.apply(torch.tensor([1, 2, 5])).tolist() == [5]
    tracked = torch.tensor(x, requires_grad=True)
    assert pair.apply(tracked).requires_grad


def test_a_tensor_in_any_type_gives_the_rows_that_an_array_gives():
    """Row numbers once took the tensor's own type: bfloat16 rounded 257 to 256, uint8 wrapped."""
    x = np.zeros((600, 2))
    x[257], x[511] = 1, 2
    one, pair = Reduction.select([257, 511], 600), Reduction.from_groups([[257, 259], [511]], 600)
    for kind in (torch.bfloat16, torch.float16, torch.uint8, torch.bool, torch.complex64):
        tensor = torch.tensor(x).to(kind)
        assert torch.equal(one.apply(tensor), tensor[[257, 511]])
        assert pair.apply(tensor).real.float().sum() == pair.apply(tensor.cfloat()).real.sum()
    assert torch.equal(pair.apply(torch.tensor(x).to_sparse()), pair.apply(torch.tensor(x)))


NO_ARRAYS = [
    None,
    "abc",
    b"abc",
    5,
    np.float32(3),
    np.zeros(()),
    torch.zeros(()),
    {0: 1, 1: 2, 2: 3},
]
NO_ARRAYS += [{1, 2, 3}, iter([1, 2, 3]), [[1, 2], [3], [5, 6]], np.array([1, None, 2]), len]
NO_ARRAYS += [np.zeros((1, 3, 4)), torch.zeros(1, 3, 4), (np.zeros((1, 3, 4)),) * 3]


@pytest.mark.parametrize("x", NO_ARRAYS, ids=lambda x: type(x).__name__)
def test_what_is_no_array_of_tokens_is_refused_in_a_sentence(x):
    for reduction in (Reduction.from_groups([[0, 1], [2]], 3), Reduction.select([0, 2], 3)):
        with pytest.raises(InputError, match=r"takes 3 tokens|x must be|x is a tuple"):
            reduction.apply(x)
        with pytest.raises(InputError, match="values"):
            reduction.spread(x)
        with pytest.raises(InputError, match="must be a Reduction"):
            reduction.then(x)


def test_only_numbers_are_merged_but_anything_is_chosen():
    names = np.array(["a", "b", "c"])
    assert Reduction.select([0, 2], 3).apply(names).tolist() == ["a", "c"]
    for x in (names, np.array([1, 2, 3], "M8[s]")):
        with pytest.raises(InputError, match="since rows are merged"):
            Reduction.from_groups([[0, 1], [2]], 3).apply(x)
    with pytest.raises(InputError, match="without the batch axis"):
        Reduction.select([0], 3).apply(np.zeros((1, 3, 4)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reduction.select([0.5], 3),
        lambda: Reduction.select([True, False, True], 3),
        lambda: Reduction.select(["a"], 3),
        lambda: Reduction.select(None, 3),
        lambda: Reduction.select([np.nan], 3),
        lambda: Reduction.select([0], "many"),
        lambda: Reduction.select([0], 3.5),
        lambda: Reduction.identity(-1),
        lambda: Reduction.identity(None),
        lambda: Reduction.from_groups([[0], []], 3),
        lambda: Reduction.from_groups([[0, 9]], 3),
        lambda: Reduction.from_groups(None, 3),
        lambda: Reduction.from_groups([[0, 1]], 3, sizes=[1, 0, 1]),
        lambda: Reduction.from_groups([[0, 1]], 3, sizes=[1, 2]),
        lambda: Reduction.from_entries([0], [0], ["a"], 3, 1, [0]),
        lambda: Reduction.from_entries([0], [0], [1j], 3, 1, [0]),
    ],
)
def test_a_token_number_is_never_rounded_and_a_mask_is_no_list_of_numbers(make):
    """A mask of three tokens once chose the tokens 0 and 1; 0.5 was read as token 0."""
    with pytest.raises(InputError):
        make()
