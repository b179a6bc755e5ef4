"""An answer as chips, one per token, and the words that differ between two answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any

from tokviz.evaluation.same_answer import compared, same_answer
from tokviz.text.characters import units
from tokviz.text.words import character_spans
from tokviz.trace import Trace

SAME = "Same answer as with all tokens."


def token_words(pieces: Sequence[str], marks: Iterable[int] = ()) -> list[dict[str, Any]]:
    """Return each token as {text, lead, special, part}.

    The tokens of one character are one chip: the first has its text, the others have `part` True
    and no text. `lead` is True if a space comes before the token.

    Args:
        pieces: the text of each token, see `Trace.pieces`.
        marks: control tokens, which are no text; `special` is True only for these.
    """
    apart, before = set(marks), ""
    words: list[dict[str, Any]] = []
    for start, stop in character_spans(pieces, apart):
        text = "".join(pieces[start:stop])
        spaced = text[:1].isspace() or (before.strip() and before[-1:].isspace())
        lead = bool(start and spaced and text.strip())  # a token of only spaces needs no lead
        shown = text.strip(" ").replace("\r\n", "\n").replace("\n", "⏎")
        words.append(
            {
                "text": shown.strip() or shown or text,
                "lead": lead,
                "special": start in apart,
                "part": False,
            }
        )
        rest = {"text": "", "lead": False, "special": start in apart, "part": True}
        words.extend(dict(rest) for _ in range(start + 1, stop))
        before = text or before
    return words


def trace_words(trace: Trace) -> list[dict[str, Any]]:
    """Return the answer's tokens as `token_words` does."""
    return token_words(trace.pieces, trace.answer_marks)


def text_tokens(trace: Trace) -> list[int]:
    """Return the answer tokens that are text; all tokens if none is."""
    text = [i for i in range(trace.t) if i not in trace.answer_marks]
    return text or list(range(trace.t))


def compare_words(answer: str, full: str) -> list[dict[str, Any]]:
    """Mark what changed between the full answer and another one.

    The rule is that of `same_answer`: no word is marked exactly if the answers are the same.

    Returns:
        The words and punctuation marks of both in reading order as {text, mark, lead}: mark is
        same, added (only in `answer`) or removed (only in `full`); lead = a space comes before. In
        scripts without spaces every character is compared by itself.
    """
    ours, theirs = _split(answer), _split(full)
    if same_answer(answer, full):
        return [{"text": text, "mark": "same", "lead": lead} for text, lead in ours]
    marked: list[dict[str, Any]] = []

    def mark(name: str, words: Sequence[tuple[str, bool]]) -> None:
        marked.extend({"text": text, "mark": name, "lead": lead} for text, lead in words)

    keys = [[compared(word) for word, _ in words] for words in (theirs, ours)]
    before, after = keys
    for tag, i0, i1, j0, j1 in SequenceMatcher(None, before, after, False).get_opcodes():
        if tag == "equal":
            mark("same", ours[j0:j1])
            continue
        mark("removed", theirs[i0:i1])
        mark("added", ours[j0:j1])
    return marked


def _split(text: str) -> list[tuple[str, bool]]:
    """Return words and punctuation marks, each with whether white space goes before it."""
    return [(text[a:b], a > 0 and text[a - 1].isspace()) for a, b in units(text)]


def verdict(answer: str, full: str, same: str = SAME) -> str:
    """Return one short sentence: whether an answer changed, and how many words.

    Args:
        answer: the answer.
        full: the answer with which it is compared.
        same: the sentence for equal answers.
    """
    if same_answer(answer, full):
        return same
    words = compare_words(answer, full)
    added = sum(word["mark"] == "added" for word in words)
    removed = sum(word["mark"] == "removed" for word in words)
    parts = [f"{added} new" if added else "", f"{removed} gone" if removed else ""]
    return "The answer changed: " + ", ".join(p for p in parts if p) + "."
