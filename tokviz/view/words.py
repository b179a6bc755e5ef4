"""How is an answer shown: which tokens start a word, and which words differ between two answers?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

SPACES = ("▁", "Ġ")
"""What tokenizers write for a leading space."""
LINE_BREAKS = ("Ċ", "\n", "<0x0A>")


def is_special(token: str) -> bool:
    """Return whether a token is a marker such as </s> or <|im_end|>, not text."""
    token = token.strip()
    return len(token) > 2 and token[0] == "<" and token[-1] == ">" and " " not in token


def token_words(tokens: Sequence[str]) -> list[dict[str, Any]]:
    """Return each token as {text, lead, special}.

    `lead` is True where a space goes before the token. Tokenizers that mark no spaces at all (whole
    words) get one before every token that is not punctuation.
    """
    marked = any(token.startswith((" ", *SPACES)) for token in tokens)
    words = []
    for number, token in enumerate(tokens):
        text = token
        for mark in SPACES:
            text = text.replace(mark, " ")
        for mark in LINE_BREAKS:
            text = text.replace(mark, "⏎")
        lead = text.startswith(" ") if marked else text[:1] not in ".,;:!?'"
        words.append(
            {
                "text": text.strip() or text,
                "lead": bool(number and lead),
                "special": is_special(token),
            }
        )
    return words


def compare_words(answer: str, full: str) -> list[dict[str, Any]]:
    """Mark what changed between the full answer and another one.

    Returns:
        The words and punctuation marks of both in reading order as {text, mark, lead}: mark is
        same, added (only in `answer`) or removed (only in `full`), and lead says that a space
        goes before.
    """
    ours, theirs = _split(answer), _split(full)
    marked: list[dict[str, Any]] = []

    def mark(name: str, words: Sequence[tuple[str, bool]]) -> None:
        marked.extend({"text": text, "mark": name, "lead": lead} for text, lead in words)

    matcher = SequenceMatcher(None, [w for w, _ in theirs], [w for w, _ in ours], False)
    for tag, i0, i1, j0, j1 in matcher.get_opcodes():
        if tag == "equal":
            mark("same", ours[j0:j1])
            continue
        mark("removed", theirs[i0:i1])
        mark("added", ours[j0:j1])
    return marked


def _split(text: str) -> list[tuple[str, bool]]:
    """Return words and punctuation marks, each with whether white space goes before it."""
    found = re.finditer(r"\w+|[^\w\s]", text)
    return [(m[0], m.start() > 0 and text[m.start() - 1].isspace()) for m in found]


def verdict(words: Sequence[dict[str, Any]]) -> str:
    """Say in one short sentence how much of an answer changed."""
    added = sum(word["mark"] == "added" for word in words)
    removed = sum(word["mark"] == "removed" for word in words)
    if not added and not removed:
        return "Same answer as with all tokens."
    parts = [f"{added} new" if added else "", f"{removed} gone" if removed else ""]
    return "The answer changed: " + ", ".join(p for p in parts if p) + "."
