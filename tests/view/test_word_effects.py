"""P(word) before and after."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.view.fakes import fake_trace
from tokviz.view.word_effects import token_probabilities, word_changes


@dataclass
class Word:
    tokens: tuple[int, int]


def with_answer(ids, probabilities):
    trace = fake_trace()
    arrays = {
        **trace.arrays,
        "answer_ids": np.asarray(ids, np.int32),
        "answer_prob": np.asarray(probabilities, np.float32),
    }
    return replace(trace, arrays=arrays)


def test_a_word_of_several_tokens_has_the_product_of_their_probabilities():
    full = with_answer([5, 6, 7], [0.5, 0.4, 0.9])
    other = with_answer([5, 6, 7], [0.25, 0.2, 0.8])
    words = [Word((0, 2)), Word((2, 3))]
    first, second = word_changes(
        words, token_probabilities(full, full), token_probabilities(other, full)
    )
    assert first == pytest.approx({"before": 0.2, "after": 0.05})
    assert second == pytest.approx({"before": 0.9, "after": 0.8})


def test_a_run_that_wrote_another_answer_does_not_say_it():
    full, other = with_answer([5, 6, 7], [0.5] * 3), with_answer([5, 8, 7], [0.5] * 3)
    assert token_probabilities(other, full) is None
    assert word_changes([Word((0, 1))], [0.5], None) == [{"before": 0.5, "after": None}]


def test_a_short_list_of_probabilities_leaves_the_later_words_open():
    assert word_changes([Word((2, 3))], [0.5] * 3, [0.5] * 2)[0]["after"] is None
