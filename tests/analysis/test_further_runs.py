"""Analyses that ask for more runs of the model, on toy models whose answers are known."""

from itertools import permutations

import numpy as np
import pytest
import torch

import tokviz
from tokviz.analysis.blocks import block_numbers, spread_over_tokens
from tokviz.analysis.relevance import carry_back, shares, weighted
from tokviz.analysis.rollout import mixed
from tokviz.analysis.shapley import exact_values, forwards_needed
from tokviz.analysis.token_statistics import (
    cluster_directions,
    duplicate_share,
    innovation,
    zipf_fit,
)
from tokviz.errors import InputError

A1 = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
A2 = np.array([[1, 0, 0], [0.4, 0.6, 0], [0.6, 0.2, 0.2]])
G1 = np.array([[1, 0, 0], [1, -1, 0], [2, 1, 0]])
G2 = np.array([[0, 0, 0], [0, 0, 0], [1, -1, 2]])


def test_worked_relevance():
    first, second = weighted(A1[None], G1[None]), weighted(A2[None], G2[None])
    np.testing.assert_allclose(first, [[1, 0, 0], [0.5, 0, 0], [0.4, 0.3, 0]])
    np.testing.assert_allclose(second[2], [0.6, 0, 0.4])
    row = carry_back(np.array([0, 0, 1.0]), [second, first])
    np.testing.assert_allclose(row, [1.76, 0.42, 1.4])


def test_carrying_a_row_back_equals_multiplying_whole_matrices():
    layers = np.random.default_rng(0).random((4, 6, 6))
    whole = np.eye(6)
    for layer in layers:
        whole = whole + layer @ whole
    carried = carry_back(np.eye(6)[4], list(layers[::-1]))
    np.testing.assert_allclose(carried, whole[4])


def test_rollout_steps_are_half_attention_half_identity():
    np.testing.assert_allclose(mixed(A1[None]), (A1 + np.eye(3)) / 2)
    np.testing.assert_allclose((mixed(A2[None]) @ mixed(A1[None]))[2], [0.385, 0.165, 0.45])
    np.testing.assert_allclose(mixed(np.stack([A1, A2]), "max").sum(1), 1)
    np.testing.assert_allclose(mixed(A1[None], without_first=True)[2], [0, 0.1875, 0.8125])


def test_rollout_of_a_row_that_looks_at_itself_stays_there(toy, runs):
    """Each row: 1/2 itself, 1/2 first token; four layers leave (3/4)^4 on itself."""
    maps = {"maps": runs["maps"]}
    result = tokviz.analyse("rollout", toy, runs=maps, without_first=False)
    np.testing.assert_allclose(result.values, 0)
    np.testing.assert_allclose(result["first"].values, 1 - 0.75**4)
    assert tokviz.analyse("rollout", toy, runs=maps)["first"].values == pytest.approx([0, 0])


def test_rollout_rows_are_shares(toy):
    def maps(layer):
        whole = np.tril(np.ones((2, 12, 12)))
        return whole / whole.sum(2, keepdims=True)

    result = tokviz.analyse("rollout", toy, runs={"maps": maps}, without_first=False)
    assert (result["first"].values + result["image"].values < 1).all()
    assert (result.values > 0).all()


def test_relevance_is_read_at_the_row_that_chose_the_word(toy):
    """One layer looks: the row that chose the first token looks at token 1, the next at token 4."""
    maps = np.zeros((4, 2, 12, 12))
    maps[3, :, 10, 2], maps[3, :, 11, 5] = 1, 0.5

    result = tokviz.analyse(
        "relevance",
        toy,
        runs={"maps": lambda layer: maps[layer], "gradients": lambda layer, step: np.ones(1)},
    )
    np.testing.assert_allclose(result.values, [[0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0.5, 0]])


def product_and_sum(x):
    """f = x1 x2 + x3, one number per token."""
    return x[:, 0, 0] * x[:, 1, 0] + x[:, 2, 0] + 0 * x.sum((1, 2))


POINT = torch.tensor([[2.0], [3], [1], [0], [0], [0]])


def test_worked_integrated_gradients(toy):
    result = tokviz.analyse(
        "integrated_gradients",
        toy,
        runs={"forward": product_and_sum, "features": POINT},
        baseline="zero",
    )
    np.testing.assert_allclose(result.values, [3, 3, 1, 0, 0, 0], atol=1e-5)
    assert result["total"].values == pytest.approx(7, abs=1e-5)
    assert abs(result["error"].values) < 1e-5


def test_too_few_steps_show_in_the_error(toy):
    runs = {"forward": lambda x: (20 * x[:, 0, 0]).sigmoid(), "features": POINT}
    few = tokviz.analyse("integrated_gradients", toy, runs=runs, steps=4, baseline="zero")
    many = tokviz.analyse("integrated_gradients", toy, runs=runs, steps=128, baseline="zero")
    assert abs(few["error"].values) > 100 * abs(many["error"].values)


def test_input_gradient_is_the_product(toy):
    result = tokviz.analyse(
        "input_gradient", toy, runs={"forward": product_and_sum, "features": POINT}
    )
    np.testing.assert_allclose(result.values, [6, 6, 1, 0, 0, 0])


def test_features_of_another_image_are_refused(toy):
    with pytest.raises(InputError, match="features are for 5"):
        tokviz.analyse(
            "input_gradient", toy, runs={"forward": product_and_sum, "features": POINT[:5]}
        )


def test_worked_shapley_values_and_leave_one_out(toy):
    """f = x1 x2 + x3 at (2, 3, 1): Shapley 3, 3, 1; leaving one out 6, 6, 1."""

    def score(kept):
        return [6.0 * ({0, 1} <= set(k.tolist())) + (2 in k) for k in kept]

    runs = {"score": score}
    shapley = tokviz.analyse("shapley", toy, runs=runs, side=1)
    np.testing.assert_allclose(shapley.values, [3, 3, 1, 0, 0, 0], atol=1e-12)
    assert "Exact" in shapley.notes[0]
    leave_out = tokviz.analyse("leave_out", toy, runs=runs, side=1)
    np.testing.assert_allclose(leave_out.values, [6, 6, 1, 0, 0, 0])


def test_sampled_shapley_values_add_up_and_repeat(toy, runs):
    """Four samples of six blocks are cheaper than all 64 sets."""
    supplied = {"score": runs["score"]}
    first = tokviz.analyse("shapley", toy, runs=supplied, side=1, samples=4)
    again = tokviz.analyse("shapley", toy, runs=supplied, side=1, samples=4)
    assert "sampled" in first.notes[0]
    assert first["total"].values == pytest.approx(6)
    np.testing.assert_array_equal(first.values, again.values)


def test_exact_shapley_values_of_a_glove_game():
    """One left glove, two right ones: only pairs are worth something."""
    worth = np.array([bool(s & 1 and s & 6) for s in range(8)], float)
    np.testing.assert_allclose(exact_values(worth), [2 / 3, 1 / 6, 1 / 6])


@pytest.mark.parametrize(
    ("name", "options", "forwards"),
    [
        ("leave_out", {"side": 1}, 7),
        ("leave_out", {"side": 2}, 3),
        ("shapley", {"side": 1, "samples": 5}, 31),
        ("shapley", {"side": 1, "samples": 25}, 64),
    ],
)
def test_the_cost_is_known_beforehand_and_progress_reaches_it(toy, name, options, forwards):
    scored, told = [], []

    def score(kept):
        scored.extend(kept)
        return np.zeros(len(kept))

    def progress(done, total):
        told.append((done, total))

    result = tokviz.analyse(name, toy, runs={"score": score, "progress": progress}, **options)
    assert result["forwards"].values == forwards == len(scored)
    assert told[-1] == (forwards, forwards)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_forwards_are_the_cheaper_of_sets_and_samples():
    assert forwards_needed(4, 25) == 16
    assert forwards_needed(36, 25) == 901


def test_a_score_that_is_no_number_is_refused(toy):
    with pytest.raises(InputError, match="finite numbers"):
        tokviz.analyse("leave_out", toy, runs={"score": lambda kept: [np.nan] * len(kept)})


def test_blocks_are_squares_of_a_tile_and_share_their_value_evenly(toy):
    block = block_numbers(toy.layout, 2)
    np.testing.assert_array_equal(block, [0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(spread_over_tokens([8, 1], block), [2, 2, 0.5, 2, 2, 0.5])
    np.testing.assert_array_equal(spread_over_tokens([5], np.array([0, -1])), [5, 0])


def test_zipf_law_is_recognised():
    exponent, fit = zipf_fit(1000 / np.arange(1, 50))
    assert exponent == pytest.approx(1)
    assert fit == pytest.approx(1)
    assert zipf_fit(np.full(5, 3)) == pytest.approx((0, 1))
    assert np.isnan(zipf_fit(np.array([4, 0, 2]))[0])


def test_duplicates_and_kinds_of_tokens():
    features = np.array([[1, 0], [2, 0], [0, 1], [0, 3], [-1, 0]], float)
    assert duplicate_share(features, 0.95) == pytest.approx(0.4)
    ids = cluster_directions(features, 3)
    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    assert len(set(ids)) == 3


def test_innovation_is_the_mean_over_all_orders_of_the_pictures():
    present = np.random.default_rng(0).random((4, 9)) < 0.4
    present[:, 0] = False  # a kind that no picture has
    orders = [
        [present[list(order[: count + 1])].any(0).sum() for count in range(4)]
        for order in permutations(range(4))
    ]
    assert innovation(present) == pytest.approx(np.mean(orders, 0))
    assert innovation(np.eye(3, dtype=bool)) == pytest.approx([1, 2, 3])
    assert innovation(np.ones((3, 5), bool)) == pytest.approx([5, 5, 5])


def test_a_picture_of_another_kind_is_something_new():
    folder = [[[1.0, 0], [1, 0]], [[1, 0], [1, 0.01]], [[0, 1], [0, 1]]]
    result = tokviz.analyse(
        "token_statistics", None, runs={"folder": [np.array(one) for one in folder]}, kinds=2
    )
    # one kind in two pictures, another in the third
    assert result["innovation"].values == pytest.approx([1, 5 / 3, 2])
    assert result["new"].values == pytest.approx(1 / 3)


def test_statistics_of_a_folder_need_no_trace():
    folder = [np.eye(4), np.eye(4)[[0, 0, 0, 1]]]
    result = tokviz.analyse("token_statistics", None, runs={"folder": folder}, kinds=4)
    np.testing.assert_array_equal(result.values, [4, 2, 1, 1])
    np.testing.assert_array_equal(result["duplicates"].values, [0, 0.5])
    np.testing.assert_array_equal(result["norms"].values, 1)
    assert result["entropy"].values == pytest.approx(1.75)
    with pytest.raises(InputError, match="no visual tokens"):
        tokviz.analyse("token_statistics", None, runs={"folder": []})


@pytest.mark.parametrize("seed", range(10))
def test_normalised_relevance_is_the_published_one(seed):
    """As in the official code on whole matrices: identity off, rows to 1, identity on."""
    rng = np.random.default_rng(seed)
    q, h, layers = 6, 3, 4
    maps = np.tril(rng.random((layers, h, q, q)))
    maps /= maps.sum(-1, keepdims=True)
    gradients = rng.standard_normal(maps.shape)
    whole = np.eye(q)
    for one, slope in zip(maps, gradients, strict=True):
        whole = whole + np.maximum(one * slope, 0).mean(0) @ whole
    off = whole - np.eye(q)
    published = off / off.sum(-1, keepdims=True)
    own = np.eye(q)[-1]
    back = [weighted(a, g) for a, g in zip(maps[::-1], gradients[::-1], strict=True)]
    ours = shares((carry_back(own, back) - own)[None])[0]
    np.testing.assert_allclose(ours, published[-1], rtol=1e-9)
    assert ours.sum() == pytest.approx(1)
    assert not shares(np.zeros((1, 4))).any()
