"""Worked curves, and maps of a toy model in which two tokens carry the answer."""

import numpy as np
import pytest

from tests.fakes import six_token_layout
from tokviz.errors import InputError
from tokviz.examine.faithfulness import (
    Faithfulness,
    Memo,
    area,
    centre_prior,
    check_map,
    mean_loss,
    order_of,
    removal_curves,
    sinks_last,
)

TRUE_MAP = np.array([3, 0, 0, 0, 0, 2.0])


def score(kept):
    """Token 0 is worth 3, token 5 is worth 2: corners, so that the centre prior is wrong."""
    return [3.0 * (0 in tokens) + 2.0 * (5 in tokens) for tokens in kept]


def test_worked_areas():
    x = np.linspace(0, 1, 5)
    most, least = [1, 0.4, 0.2, 0.1, 0.1], [1, 0.95, 0.9, 0.6, 0.1]
    assert area(most, x) == pytest.approx(0.3125)
    assert area([0.1, 0.6, 0.8, 0.9, 1], x) == pytest.approx(0.7125)
    curves = Faithfulness(x, np.array(most), np.array(least), 0, 0)
    assert area(least, x) == pytest.approx(0.75)
    assert curves.gap == pytest.approx(0.4375)


def test_worked_comprehensiveness_and_sufficiency():
    assert mean_loss(0.9, np.array([0.7, 0.3, 0.2])) == pytest.approx(0.5)
    assert mean_loss(0.9, np.array([0.4, 0.8, 0.88])) == pytest.approx(0.206667, abs=1e-6)


def test_curves_of_a_true_map():
    curves = removal_curves(score, order_of(TRUE_MAP), [0, 0.5, 1])
    np.testing.assert_array_equal(curves.fractions, [0, 0.5, 1])
    np.testing.assert_array_equal(curves.most_first, [5, 0, 0])
    np.testing.assert_array_equal(curves.least_first, [5, 5, 0])
    np.testing.assert_array_equal(curves.insertion, [0, 5, 5])
    assert curves.insertion_auc == 3.75
    assert curves.deletion_auc == 1.25


@pytest.mark.parametrize("n", [1, 5, 7])
def test_insertion_is_the_other_curve_backwards_for_any_number_of_tokens(n):
    curves = removal_curves(lambda kept: [float(len(k)) for k in kept], np.arange(n))
    np.testing.assert_allclose(curves.fractions + curves.fractions[::-1], 1)
    np.testing.assert_allclose(curves.insertion, curves.fractions * n)


def test_a_true_map_beats_chance_and_its_opposite_does_not():
    good = check_map(score, TRUE_MAP, six_token_layout())
    bad = check_map(score, -TRUE_MAP, six_token_layout())
    assert good.beats_chance
    assert not bad.beats_chance
    assert good.map.gap == pytest.approx(-bad.map.gap)
    assert "hurts the answer most" in good.sentence()
    assert "no better than" in bad.sentence()
    assert set(good.rivals) == {"random", "centre"}


def test_scores_are_brought_to_one_for_all_tokens_and_zero_for_none():
    verdict = check_map(score, TRUE_MAP, six_token_layout())
    assert (verdict.full, verdict.none) == (5, 0)
    assert verdict.map.most_first[0] == 1
    assert verdict.map.most_first[-1] == 0


def test_an_answer_that_needs_no_image_gives_flat_curves_not_a_division_by_zero():
    verdict = check_map(lambda kept: [-1.0] * len(kept), TRUE_MAP, six_token_layout())
    np.testing.assert_array_equal(verdict.map.most_first, 0)
    assert not verdict.beats_chance


def test_every_set_is_run_once():
    seen = []

    def counting(kept):
        seen.extend(tokens.tobytes() for tokens in kept)
        assert len(kept) <= 8
        return score(kept)

    verdict = check_map(counting, TRUE_MAP, six_token_layout(), sinks=np.arange(6) == 4)
    assert len(seen) == len(set(seen)) == verdict.forwards
    assert "without sinks" in verdict.rivals


def test_random_orders_repeat():
    first, second = (check_map(score, TRUE_MAP, six_token_layout(), seed=3) for _ in range(2))
    assert first.random_gaps == second.random_gaps


def test_sinks_can_be_put_last():
    found = sinks_last(np.array([1.0, 9, 2]), np.array([False, True, False]))
    np.testing.assert_array_equal(order_of(found), [2, 0, 1])


def test_the_centre_comes_first_and_newlines_last():
    np.testing.assert_array_equal(order_of(centre_prior(six_token_layout()))[:2], [1, 4])


def test_equal_values_keep_the_lower_index_first_and_nan_is_refused():
    np.testing.assert_array_equal(order_of(np.array([1, 2, 2, 0])), [1, 2, 0, 3])
    with pytest.raises(InputError, match="without NaN"):
        order_of(np.array([1, np.nan]))
    with pytest.raises(InputError, match="the run has 6"):
        check_map(score, np.ones(5), six_token_layout())


def test_progress_counts_forwards():
    told = []
    memo = Memo(score, 6, lambda done, total: told.append((done, total)))
    memo([np.array([i]) for i in range(6)] + [np.array([0, 1])] * 5)
    assert told == [(7, 7)]
