"""How probable each word of an examined answer is in another run: before and after.

A run that writes the same tokens up to a word says it directly. For any other run, the examined
answer is forced on it (teacher forcing), which costs one more run: see `components.desk.work`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tokviz.trace import Trace


def answers_alike(trace: Trace, full: Trace) -> bool:
    """Return whether a run wrote at least the tokens of the full answer, in the same places."""
    if "answer_ids" not in trace or "answer_ids" not in full:
        return False
    return np.array_equal(trace["answer_ids"][: full.t], full["answer_ids"])


def token_probabilities(trace: Trace, full: Trace) -> list[float] | None:
    """Return the probability of each token of the full answer in a run that wrote it, or None."""
    if not answers_alike(trace, full) or "answer_prob" not in trace:
        return None
    return [float(p) for p in trace["answer_prob"][: full.t]]


def word_probability(tokens: Sequence[float] | None, span: tuple[int, int]) -> float | None:
    """Return the probability of a word, the product over its tokens; None where it is not known."""
    if tokens is None or len(tokens) < span[1]:
        return None
    return float(np.prod([tokens[at] for at in range(*span)]))


def word_changes(
    words: Sequence[Any], before: Sequence[float] | None, after: Sequence[float] | None
) -> list[dict[str, float | None]]:
    """Return {before, after} of each word of a report of `tokviz.diagnose`."""
    return [
        {
            "before": word_probability(before, tuple(word.tokens)),
            "after": word_probability(after, tuple(word.tokens)),
        }
        for word in words
    ]
