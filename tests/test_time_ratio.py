"""A side is faster or slower only where every pair says so, or nearly every one of many."""

import pytest

from tokviz.time_ratio import MIN_PAIRS, time_ratio

BASE = [1.0, 2.0, 4.0, 8.0, 16.0]
"Powers of two, so that ratios are exact."


def ratio(*ratios):
    """Five pairs with these ratios."""
    return time_ratio([one * base for one, base in zip(ratios, BASE, strict=True)], BASE)


@pytest.mark.parametrize(
    ("ratios", "verdict", "text"),
    [
        ((2, 3, 4, 5, 6), "slower", "4.00× full (2.00 to 6.00), slower"),
        ((0.5, 0.25, 0.75, 0.5, 0.5), "faster", "0.50× full (0.25 to 0.75)"),
        ((2, 3, 4, 5, 0.5), "same", "≈ as full (0.50 to 5.00×)"),
        ((0.5, 0.25, 0.5, 0.25, 2), "same", "≈ as full (0.25 to 2.00×)"),
        ((1, 2, 2, 2, 2), "same", "≈ as full (1.00 to 2.00×)"),
    ],
    ids=["all slower", "all faster", "one is faster", "one is slower", "one is equal"],
)
def test_one_pair_that_disagrees_takes_the_verdict_away(ratios, verdict, text):
    assert ratio(*ratios).verdict == verdict
    assert ratio(*ratios).text() == text


def test_of_many_pairs_a_tenth_on_each_side_may_disagree():
    own = [0.5] + [2.0] * 19
    assert time_ratio(own, [1.0] * 20).verdict == "slower"
    assert time_ratio([0.5] * 5 + own[5:], [1.0] * 20).verdict == "same"


def test_few_pairs_and_times_that_are_none_give_no_verdict():
    assert time_ratio([1.0] * (MIN_PAIRS - 1), [1.0] * 9) is None
    assert time_ratio([1.0, 0.0, 2.0, 3.0], [1.0] * 4) is None
    assert time_ratio([1.0] * 4, [1.0, 0.0, 2.0, 3.0]) is None
    assert time_ratio([], []) is None
