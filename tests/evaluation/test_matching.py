"""Exact match and multiple choice."""

import pytest

from tokviz.errors import InputError
from tokviz.evaluation import chosen_option, exact_match, normalise, same_option

OPTIONS = ["a dog", "a cat", "a hot dog", "none of these"]


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("The Red Circle.", "red circle", True),
        ("3.5", "35", False),
        ("-3", "3", False),
        ("1,000", "1,000", True),
        ("top-left", "top left", True),
        ("ÉCOLE!", "école", True),
        ("a", "the", False),
        ("yes", "no", False),
    ],
)
def test_case_articles_and_punctuation_do_not_count(answer, reference, same):
    assert exact_match(answer, reference) is same


def test_one_of_several_references_is_enough():
    assert exact_match("grey", ["gray", "grey"])
    assert normalise("  It's   the  end. ") == "it s end"


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ("B", 1),
        ("b)", 1),
        ("(C) a hot dog", 2),
        ("D.", 3),
        ("The answer is A", 0),
        ("A cat.", 1),
        ("a dog", 0),
        ("I think it is a cat", 1),
        ("a cat or a dog", None),
        ("A dog or so it seems", 0),
        ("E", None),
        ("", None),
    ],
)
def test_an_answer_means_at_most_one_option(answer, chosen):
    assert chosen_option(answer, OPTIONS) == chosen


def test_right_option_by_letter_or_number():
    assert same_option("B: a cat", OPTIONS, "b")
    assert not same_option("B: a cat", OPTIONS, 0)
    with pytest.raises(InputError, match="right option must be one of 4, got 'E'"):
        same_option("B", OPTIONS, "E")
    with pytest.raises(InputError, match="give 2 to 26 options, got 1"):
        chosen_option("A", ["a"])
