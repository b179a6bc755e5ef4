"""Analyses that compare layers: agreement, needs, rank, exit, knockout, alignment, fidelity."""

import numpy as np
import pytest

import tokviz
from tokviz.analysis.alignment import alignment_of, pairwise_alignment
from tokviz.analysis.attention_rank import attention_ranks, effective_rank, skipping
from tokviz.analysis.concentration import entropy, tokens_for_mass
from tokviz.analysis.layer_agreement import agreement_matrix, mean_off_diagonal
from tokviz.analysis.ranks import average_ranks, kendall, spearman, top_k, top_k_jaccard
from tokviz.analysis.sink_stability import jaccard
from tokviz.errors import InputError, MissingSignal

FIRST, SECOND = [0.4, 0.3, 0.2, 0.1], [0.1, 0.5, 0.3, 0.1]


def test_worked_rank_agreement():
    assert spearman(FIRST, SECOND) == pytest.approx(0.105409, abs=1e-6)
    assert top_k_jaccard(FIRST, SECOND, 2) == pytest.approx(1 / 3)


def test_ranks_of_equal_values_are_shared():
    np.testing.assert_array_equal(average_ranks(np.array([5, 1, 5, 9])), [1.5, 0, 1.5, 3])
    np.testing.assert_array_equal(top_k([1, 3, 3, 2], 3), [1, 2, 3])


def test_kendall_counts_pairs():
    assert kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall([1, 2, 3], [3, 2, 1]) == -1
    assert np.isnan(kendall([1, 1, 1], [1, 2, 3]))


@pytest.mark.parametrize("measure", ["spearman", "kendall", "overlap"])
def test_a_layer_agrees_with_itself_and_the_matrix_is_symmetric(measure):
    maps = np.random.default_rng(0).random((4, 9))
    matrix = agreement_matrix(maps, measure, 3)
    np.testing.assert_allclose(np.diag(matrix), 1)
    np.testing.assert_allclose(matrix, matrix.T)
    if measure == "spearman":
        assert matrix[0, 1] == pytest.approx(spearman(maps[0], maps[1]))


def test_agreement_is_also_given_without_layer_0_and_without_sinks(toy):
    """Layers 1 to 3 are equal, layer 0 is not."""
    result = tokviz.analyse("layer_agreement", toy)
    means = dict(zip(result.labels["i"], result["means"].values, strict=True))
    assert means["without layer 0"] == pytest.approx(1)
    assert means["all layers"] < 1
    assert means["without sinks"] == pytest.approx(1)
    assert np.isnan(mean_off_diagonal(np.ones((1, 1))))


def test_how_many_tokens_a_layer_needs(toy):
    """The first token's head means: layer 0 has 5 equal small values and two large ones."""
    result = tokviz.analyse("layer_needs", toy, part=0.5)
    assert result.values[2] == 1
    assert result["tokens"].values[0, 2] == 1
    assert (np.diff(tokviz.analyse("layer_needs", toy, part=0.9).values) <= 0).all()


def test_mass_and_evenness_of_simple_maps():
    maps = np.array([[1, 1, 1, 1], [8, 0, 0, 0], [4, 3, 2, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(tokens_for_mass(maps, 0.7), [3, 1, 2, 0])
    np.testing.assert_allclose(entropy(maps)[[0, 1, 3]], [1, 0, 0], atol=1e-12)


def test_worked_attention_rank():
    a = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.25, 0.5, 0], [0.25] * 4])
    rank, effective = attention_ranks(a[None])
    assert rank == 3
    assert effective == pytest.approx(3.2947, abs=1e-4)
    sink = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0, 0.5, 0], [0.5, 0, 0, 0.5]])
    busy = [[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0.2, 0.5, 0.3, 0], [0.1, 0.1, 0.6, 0.2]]
    assert attention_ranks(sink[None])[0] == 1
    assert attention_ranks(np.array(busy)[None])[0] == 3
    assert attention_ranks(np.stack([sink, busy]))[0] == 2


def test_worked_effective_rank():
    assert effective_rank(np.ones(4)) == pytest.approx(4)
    assert effective_rank(np.array([3.0, 0, 0])) == pytest.approx(1)
    assert effective_rank(np.zeros(3)) == 0


def test_the_rank_of_a_layer_that_looks_at_itself_and_the_first_token_is_one(toy, runs):
    result = tokviz.analyse("attention_rank", toy, runs={"maps": runs["maps"]})
    np.testing.assert_array_equal(result.values, 1)
    assert result["rows"].values == 12
    fewer = tokviz.analyse("attention_rank", toy, runs={"maps": runs["maps"]}, most_rows=8)
    assert fewer["rows"].values == 8


def test_maps_of_another_number_of_rows_are_refused(toy):
    with pytest.raises(InputError, match=r"must be \[heads, 12, 12\]"):
        tokviz.analyse("rollout", toy, runs={"maps": lambda layer: np.ones((2, 5, 5))})


def test_worked_exit_is_refused_for_its_loss_not_its_words(make_trace):
    trace = make_trace()
    full, leaving = np.array([-0.313262, -0.048587]), np.array([-0.341153, -0.078890])

    def exits(layer):
        return trace["answer_ids"], full if layer in (3, 4) else leaving

    result = tokviz.analyse("exit_layer", trace, runs={"exits": exits})
    np.testing.assert_array_equal(result.values, [False, False, False, True])
    np.testing.assert_array_equal(result["agreement"].values, 1)
    assert result["ratio"].values[0] == pytest.approx(1.1608, abs=1e-3)


def test_the_earliest_safe_exit_need_not_be_where_safety_begins(toy, runs):
    result = tokviz.analyse("exit_layer", toy, runs={"exits": runs["exits"]})
    assert result["first"].values == result["from"].values == 2

    def patchy(layer):
        return (toy["answer_ids"] if layer != 2 else [0, 0]), [-0.1, -0.1]

    result = tokviz.analyse("exit_layer", toy, runs={"exits": patchy})
    assert (result["first"].values, result["from"].values) == (0, 3)


def test_layers_of_low_rank_are_skipped_first_and_the_ends_never():
    order, skip = skipping(np.array([1.0, 2, 0, 9, 4, 7, 4, 1]))
    assert order.tolist() == [4, 5, 6, 3, 0, 2, 1, 7]
    assert skip == [4, 6]
    assert skipping(np.array([3.0, 2, 1]))[1] == []


def test_vtws_search_takes_the_first_layer_with_the_same_next_token(toy):
    spread = {0: [0.5, 0.5], 1: [0.8, 0.2], 2: [0.501, 0.499], 3: [0.5, 0.5], 4: [0.5, 0.5]}

    def exits(layer):
        return toy["answer_ids"], [-0.1, -0.1], np.log(spread[layer])

    result = tokviz.analyse("exit_layer", toy, runs={"exits": exits})
    assert result["vtw"].values == 2  # layer 0 is before the search, which begins at 5 of 32
    assert result["divergence"].values[1] == pytest.approx(0.8 * np.log(1.6) + 0.2 * np.log(0.4))
    assert tokviz.analyse("exit_layer", toy, runs={"exits": exits}, shift=0)["vtw"].values == 3
    without = tokviz.analyse("exit_layer", toy, runs={"exits": lambda layer: exits(layer)[:2]})
    assert "vtw" not in without.parts


def test_knockout_finds_the_window_that_matters(toy, runs):
    result = tokviz.analyse("knockout", toy, runs={"knockout": runs["knockout"]}, window=2)
    assert result.labels["i"] == ("0 to 1", "1 to 2", "2 to 3")
    np.testing.assert_array_equal(result.values, [0, 1, 1])
    np.testing.assert_array_equal(result["layers"].values, [0, 0.5, 1, 1])


def test_worked_alignment():
    visual, text = np.array([[1.0, 0], [0, 1]]), np.array([[1.0, 1], [1, 0]])
    assert alignment_of(visual, text) == pytest.approx(0.948683, abs=1e-6)
    found = [alignment_of(visual, text, pooling) for pooling in ("max", "mean", "median")]
    np.testing.assert_allclose(found, [1, 0.603553, 0.707107], atol=1e-6)


def test_the_alignment_of_a_run_is_the_cosine_of_its_means(toy):
    result = tokviz.analyse("alignment", toy)
    np.testing.assert_allclose(result.values, 0.948683, atol=1e-6)
    assert result["score"].values == pytest.approx(0.948683, abs=1e-6)


def test_centring_takes_the_constant_part_of_each_modality_away(toy):
    """A large shared part makes everything look aligned; centred, the two runs are opposites."""
    means = np.array([[[[10, 1], [10, -1]]], [[[10, -1], [10, 1]]]], float)
    assert pairwise_alignment(means)[0] > 0.9
    np.testing.assert_allclose(pairwise_alignment(means, centred=True), 0, atol=1e-12)
    with pytest.raises(InputError, match="needs the traces of other runs"):
        tokviz.analyse("alignment", toy, centred=True)


def test_fidelity_is_the_cosine_of_last_states(make_trace):
    turned = make_trace(last_state=np.array([4, -3], np.float32))
    same = tokviz.analyse("fidelity", make_trace(), runs={"full": make_trace()})
    assert same.values == pytest.approx(1)
    assert same["same_answer"].values
    result = tokviz.analyse("fidelity", turned, runs={"full": make_trace()})
    assert result["damage"].values == pytest.approx(1)
    with pytest.raises(MissingSignal, match="last_state"):
        tokviz.analyse("fidelity", make_trace(), runs={"full": make_trace(last_state=None)})


def test_sinks_that_stay_are_stable(toy, make_trace):
    """Two late layers; in the other question the token is a sink in one of them only."""
    assert tokviz.analyse("sink_stability", toy).values[5] == 1
    phi = toy["sink_phi"].copy()
    phi[2, 6] = 1
    other = make_trace(sink_phi=phi)
    result = tokviz.analyse("sink_stability", toy, runs={"others": [other]})
    assert result.values[5] == 0.75
    np.testing.assert_array_equal(result["questions"].values, 1)
    np.testing.assert_allclose(
        jaccard(np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]], bool)),
        [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]],
    )
