"""Probability of each word of the full answer in a run that saw fewer tokens: P(word).

The run is made to write the full answer (`Plan.forced`), so that every word is asked for after the
same words before it; a word of several tokens has the product of their probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokviz.analysis.uncertainty import FUNCTION_WORDS
from tokviz.trace import Trace


@dataclass(frozen=True)
class AnswerWord:
    """One word of the full answer."""

    text: str
    start: int
    stop: int
    "Its answer tokens are [start, stop)."
    content: bool
    "Whether it says something: it is neither a function word nor punctuation."


def answer_words_of(trace: Trace) -> list[AnswerWord]:
    """Return the words of an answer, without control tokens."""
    pieces, marks = trace.pieces, set(trace.answer_marks)
    found = []
    for start, stop in trace.word_spans:
        text = "".join(pieces[start:stop]).strip()
        if text and not marks.issuperset(range(start, stop)):
            found.append(AnswerWord(text, start, stop, carries_content(text)))
    return found


def carries_content(text: str) -> bool:
    """Return whether a word says something; English function words and punctuation do not."""
    bare = text.strip(".,;:!?\"'()").lower()
    return bare not in FUNCTION_WORDS and any(letter.isalnum() for letter in bare)


def forced_ids(full: Trace) -> tuple[int, ...]:
    """Return the tokens that another run is made to write: those of the answer, as far as text."""
    marks, count = set(full.answer_marks), full.t
    while count and count - 1 in marks:
        count -= 1
    return tuple(int(one) for one in full["answer_ids"][:count])


def word_probabilities(words: Sequence[AnswerWord], prob: np.ndarray) -> list[float]:
    """Return P(word) of every word from the probabilities of the answer's tokens [t]."""
    return [round(float(np.prod(prob[one.start : one.stop])), 5) for one in words]


def still_said(words: Sequence[AnswerWord], said: np.ndarray) -> list[bool]:
    """Return for every word whether all its tokens are still the most probable ones, bool [t]."""
    return [bool(said[one.start : one.stop].all()) for one in words]


def default_choice(words: Sequence[AnswerWord]) -> list[int]:
    """Return the numbers of the words that carry content; all words where none does."""
    chosen = [number for number, one in enumerate(words) if one.content]
    return chosen or list(range(len(words)))
