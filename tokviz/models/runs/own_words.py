"""Which rows of a prompt are the user's own words?

The whole prompt text is rendered twice: with the question, and with a placeholder in its place. The
part that differs is the question, and the tokenizer's offsets give its tokens. The processor also
adds visual tokens to the prompt, so rows are counted from the end (or from the beginning, if a
template has the question before the picture), and the token ids there must be equal.

Tokenizers without offsets, and processors that render the text in another way, need `by_spelling`;
a note of the run says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tokviz.models.answer_text import AnswerText
from tokviz.models.runs.chat_template import PLACEHOLDER

BY_SPELLING = (
    "The user's own words were found by what the prompt's tokens spell: this tokenizer does not "
    "say where its tokens are in the text, or its offsets do not fit this prompt."
)
NOT_FOUND = (
    "The user's own words could not be found in the prompt: methods and maps that read the "
    "question use all text after the picture instead."
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
        write: prompt -> the whole prompt text, with one placeholder per picture.
        prompt: the user's words.
        ids: [s], the prompt as the model gets it.
        visual: [n], rows of the visual tokens, ascending.
        text: an empty answer text of the tokenizer.

    Returns:
        int32 [p], ascending, at least one; and notes for the trace.
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
    whole, other = write(prompt), write(PLACEHOLDER)
    start = other.find(PLACEHOLDER)
    if start < 0:
        return None
    after = other[start + len(PLACEHOLDER) :]
    if whole[:start] != other[:start] or not whole.endswith(after):
        return None
    stop = len(whole) - len(after)
    return (whole, start, stop) if start < stop else None


def by_offsets(
    tokenizer: Any, write: Callable[[str], str], prompt: str, ids: np.ndarray
) -> np.ndarray | None:
    """Return the rows by the tokenizer's offsets; None if it has none or they do not fit."""
    place = place_of(write, prompt)
    if place is None or not getattr(tokenizer, "is_fast", False):
        return None
    whole, start, stop = place
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    flat = np.asarray(encoded["input_ids"], np.int64)
    spans = np.asarray(encoded["offset_mapping"], np.int64).reshape(-1, 2)  # [tokens, start, stop]
    inside = np.flatnonzero((spans[:, 0] < stop) & (spans[:, 1] > start))
    if not len(inside):
        return None
    # all tokens from the first to the last: a line break between words may have an empty span
    found = np.arange(inside[0], inside[-1] + 1)
    return _rows_in(flat, found, ids)


def _rows_in(flat: np.ndarray, found: np.ndarray, ids: np.ndarray) -> np.ndarray | None:
    """Return the rows of the model's prompt `ids` whose tokens are flat[found]; None if none are.

    The model's prompt has more or fewer tokens than `flat`, so the rows are shifted.
    """
    begin = int(ids[0] != flat[0])  # a <bos> was added
    for rows in (found + len(ids) - len(flat), found + begin, *_further(flat, found, ids)):
        inside = rows[0] >= 0 and rows[-1] < len(ids)
        if inside and np.array_equal(ids[rows], flat[found]):
            return rows
    return None


def _further(flat: np.ndarray, found: np.ndarray, ids: np.ndarray) -> Sequence[np.ndarray]:
    """Return every run of as many rows, the last first."""
    last = len(ids) - len(found)
    return [np.arange(at, at + len(found)) for at in range(last, -1, -1)]


def by_spelling(text: AnswerText, prompt: str, ids: np.ndarray) -> np.ndarray | None:
    """Return the places of the ids that spell the prompt in any letter case; None if none do."""
    decoded = AnswerText(text.tokenizer, text.word_marks, text.control_ids)
    for token in ids:
        decoded.add(int(token))
    decoded.close()
    start = decoded.text.lower().find(prompt.lower())
    if start < 0:
        return None
    ends = np.cumsum([len(piece) for piece in decoded.pieces])
    begins = np.concatenate([[0], ends[:-1]])
    inside = np.flatnonzero((begins < start + len(prompt)) & (ends > start))
    return np.arange(inside[0], inside[-1] + 1) if len(inside) else None
