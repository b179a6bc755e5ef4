"""Which rows of a prompt are the user's own words?

The whole prompt text is written with the question and with a stand-in for it: what differs is the
question's place. The tokenizer's offsets say which tokens lie there. The processor has put visual
tokens into the prompt meanwhile, so rows are counted from the end (or from the beginning, where a
template puts the question before the picture), and the ids there must be the same.

Tokenizers that tell no offsets, and processors that write the text in another way, get what
`fallback` finds; the run then says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tokviz.models.answer_text import AnswerText
from tokviz.models.runs.chat_prompt import STAND_IN

BY_SPELLING = (
    "The user's own words were found by what the prompt's tokens spell: this tokenizer does not "
    "tell where its tokens lie in the text, or tells places that do not fit this prompt."
)
NOT_FOUND = (
    "The user's own words could not be told from the rest of the prompt: methods and maps that "
    "read the question take all text after the picture for it."
)


def own_rows(
    tokenizer: Any,
    write: Callable[[str], str],
    prompt: str,
    ids: np.ndarray,
    visual: np.ndarray,
    text: AnswerText,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Find the rows of the user's words.

    Args:
        tokenizer: the model's.
        write: prompt -> the whole prompt text, one mark per picture.
        prompt: the user's words.
        ids: [s], the prompt as the model gets it.
        visual: [n], rows of the visual tokens, ascending.
        text: of the tokenizer.

    Returns:
        int32 [p], ascending, at least one; and sentences for the reader.
    """
    rows = by_offsets(tokenizer, write, prompt, ids)
    if rows is not None:
        return rows.astype(np.int32), ()
    first, after = (int(visual[0]), int(visual[-1]) + 1) if len(visual) else (0, 0)
    for start, stop in ((after, len(ids)), (0, first)):
        rows = by_spelling(text, prompt, ids[start:stop])
        if rows is not None:
            return (rows + start).astype(np.int32), (BY_SPELLING,)
    return np.arange(after, len(ids), dtype=np.int32), (NOT_FOUND,)


def place_of(write: Callable[[str], str], prompt: str) -> tuple[str, int, int] | None:
    """Return the whole prompt text and [start, stop) of the user's words in it."""
    whole, other = write(prompt), write(STAND_IN)
    start = other.find(STAND_IN)
    if start < 0:
        return None
    after = other[start + len(STAND_IN) :]
    if whole[:start] != other[:start] or not whole.endswith(after):
        return None
    stop = len(whole) - len(after)
    return (whole, start, stop) if start < stop else None


def by_offsets(
    tokenizer: Any, write: Callable[[str], str], prompt: str, ids: np.ndarray
) -> np.ndarray | None:
    """Return the rows by the tokenizer's offsets; None where it tells none or they do not fit."""
    place = place_of(write, prompt)
    if place is None or not getattr(tokenizer, "is_fast", False):
        return None
    whole, start, stop = place
    told = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    flat = np.asarray(told["input_ids"], np.int64)
    spans = np.asarray(told["offset_mapping"], np.int64).reshape(-1, 2)
    inside = np.flatnonzero((spans[:, 0] < stop) & (spans[:, 1] > start))
    if not len(inside):
        return None
    found = np.arange(inside[0], inside[-1] + 1)  # line breaks between words have no place
    return _rows_in(flat, found, ids)


def _rows_in(flat: np.ndarray, found: np.ndarray, ids: np.ndarray) -> np.ndarray | None:
    """Move places in the short prompt to the model's, which holds more or fewer other tokens."""
    for rows in (found + len(ids) - len(flat), found, *_further(flat, found, ids)):
        inside = rows[0] >= 0 and rows[-1] < len(ids)
        if inside and np.array_equal(ids[rows], flat[found]):
            return rows
    return None


def _further(flat: np.ndarray, found: np.ndarray, ids: np.ndarray) -> Sequence[np.ndarray]:
    """Return every other place of the same ids, the last first."""
    last = len(ids) - len(found)
    return [np.arange(at, at + len(found)) for at in range(last, -1, -1)]


def by_spelling(text: AnswerText, prompt: str, ids: np.ndarray) -> np.ndarray | None:
    """Return the places of the ids that spell the prompt, letter case aside; None if none do."""
    told = AnswerText(text.tokenizer, text.word_marks, text.control_ids)
    for token in ids:
        told.add(int(token))
    told.close()
    start = told.text.lower().find(prompt.lower())
    if start < 0:
        return None
    ends = np.cumsum([len(piece) for piece in told.pieces])
    begins = np.concatenate([[0], ends[:-1]])
    inside = np.flatnonzero((begins < start + len(prompt)) & (ends > start))
    return np.arange(inside[0], inside[-1] + 1) if len(inside) else None
