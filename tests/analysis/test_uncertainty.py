import numpy as np
import pytest

import tokviz
from tokviz.analysis.uncertainty import (
    claim_conditioned,
    combine_directions,
    entropy_nats,
    same_word,
)


def test_worked_entropy():
    p = np.array([0.6, 0.1, 0.2, 0.05, 0.05])
    assert entropy_nats(p) == pytest.approx(1.158215, abs=1e-6)
    assert entropy_nats(p) / np.log(5) == pytest.approx(0.71964, abs=1e-5)
    assert entropy_nats(np.array([1.0, 0])) == 0


def test_worked_claim_conditioned_probability():
    """red, crimson (the same), blue (contrary), large (neither)."""
    value = claim_conditioned([0.6, 0.1, 0.2, 0.05], ["entail", "entail", "contra", "neutral"])
    assert value == pytest.approx(0.777778, abs=1e-6)
    assert -np.log(value) == pytest.approx(0.251314, abs=1e-6)


@pytest.mark.parametrize(
    ("forward", "backward", "relation"),
    [
        ("entail", "entail", "entail"),
        ("entail", "contra", "neutral"),
        ("contra", "entail", "neutral"),
        ("neutral", "contra", "contra"),
        ("entail", "neutral", "entail"),
    ],
)
def test_two_directions_make_one_relation(forward, backward, relation):
    assert combine_directions(forward, backward) == relation


def test_the_spelling_judge():
    assert same_word("", "▁Dog", " dog") == "entail"
    assert same_word("", "dog", "cat") == "contra"
    assert same_word("", "dog", ",") == "neutral"


def test_surprisal_of_the_toy_answer(toy):
    result = tokviz.analyse("uncertainty", toy)
    np.testing.assert_allclose(result.values, -np.log([0.75, 0.5]))
    np.testing.assert_array_equal(result["entropy"].values, [0.5, 1])
    assert result["mean"].values == pytest.approx(-np.log([0.75, 0.5]).mean())


def test_without_the_whole_distribution_the_entropy_is_a_lower_bound(make_trace):
    result = tokviz.analyse("uncertainty", make_trace(answer_entropy=None))
    np.testing.assert_allclose(
        result["entropy"].values[0], entropy_nats(np.array([0.75, 0.125, 0.0625, 0.0625]))
    )
    assert "lower bound" in result.notes[0]


def test_the_judge_decides_what_contradicts(toy):
    """`no` (1/8) and `maybe` (1/16) stand against `yes` (3/4); signs claim nothing."""
    by_words = tokviz.analyse("uncertainty", toy)
    np.testing.assert_allclose(by_words["claim"].values, [0.75 / 0.9375, 1])
    assert by_words["claim_score"].values == pytest.approx(-0.8)

    def only_no(before, chosen, other):
        return "contra" if "no" in other else "neutral"

    judged = tokviz.analyse("uncertainty", toy, runs={"judge": only_no})
    assert judged["claim"].values[0] == pytest.approx(0.75 / 0.875)
    assert not judged.notes
