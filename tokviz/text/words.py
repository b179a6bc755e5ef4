"""Which tokens form a character, and which a word?

All views, analyses, reports and the page use these rules. They depend only on the text that the
tokens spell (`exact_pieces`), not on how the vocabulary writes them: a token without a space before
it continues the previous word, also in very short answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokviz.text.characters import character_starts, units
from tokviz.text.token_bytes import guess_marks, spelled

Span = tuple[int, int]
CLOSING = ".,;:!?'\u2019\u2026)]}%\u3002\uff0c\uff01\uff1f"
"""Punctuation without a space before it, for tokens without spaces."""


def exact_pieces(
    tokens: Sequence[str], answer: str, marks: str = "", others: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the piece of the answer that each token spells; joined they are the answer.

    Args:
        tokens: pieces of the answer already, or tokens as the vocabulary writes them.
        answer: the whole text.
        marks: a key of MARKS; "" = guess it from the tokens and `others`.
        others: further tokens of the same vocabulary, such as the prompt's.

    Returns:
        One text per token. If tokens and answer contradict each other, the texts of the tokens.
    """
    if "".join(tokens) == answer:
        return tuple(tokens)
    marks = marks or guess_marks([*others, *tokens])
    pieces = spelled(tokens, marks)
    return _found_in(answer, pieces) or tuple(_spaced(pieces, marks))


def _found_in(answer: str, pieces: Sequence[str]) -> tuple[str, ...]:
    """Return the part of an answer for each piece; () if a piece is not found."""
    found, at = [], 0
    for piece in pieces:
        core = piece.strip()
        start = answer.find(core, at) if core else at
        if start < 0 or answer[at:start].strip():
            return ()
        found.append(answer[at : start + len(core)])
        at = start + len(core)
    if not found or answer[at:].strip():
        return ()
    return (*found[:-1], found[-1] + answer[at:])


def _spaced(pieces: Sequence[str], marks: str) -> list[str]:
    if marks != "word_level":
        return [piece.lstrip(" ") if i == 0 else piece for i, piece in enumerate(pieces)]
    glued = any(piece != piece.strip() for piece in pieces)
    return [
        piece if i == 0 or glued or piece[:1] in CLOSING else f" {piece}"
        for i, piece in enumerate(pieces)
    ]


def spelled_whole(pieces: Sequence[str]) -> list[str]:
    """Return the text of each token; a part of a character has the text of the token that ends it.

    Args:
        pieces: the text that each token adds, as `spelled` gives it: "" for such a part.
    """
    texts, ahead = [], ""
    for piece in reversed(pieces):
        ahead = piece or ahead
        texts.append(ahead)
    return texts[::-1]


def character_spans(pieces: Sequence[str], alone: Iterable[int] = ()) -> list[Span]:
    """Group tokens whose characters are one: [start, stop) per group, covering every token.

    The tokens of one letter, of a joined emoji, or of a letter with its vowel signs are one group.
    A token that spells nothing is in the group of the next token.

    Args:
        pieces: of `exact_pieces`.
        alone: control tokens, which are no text; each is its own group.
    """
    text, apart = "".join(pieces), set(alone)
    begins = {*character_starts(text), len(text)}
    starts: list[int] = []
    at = last = 0
    for number, piece in enumerate(pieces):
        after_mark = number - 1 in apart
        if number == 0 or number in apart or after_mark or (at in begins and at > last):
            starts.append(number)
            last = at
        at += len(piece)
    if not text[last:]:
        _join_last(starts, apart)  # nothing is spelled at the very end
    return _spans(starts, len(pieces))


def word_spans(pieces: Sequence[str], alone: Iterable[int] = ()) -> list[Span]:
    """Group tokens into words: [start, stop) per word, covering every token.

    "don't" and "3.5" are one word; other punctuation is separate. In scripts without spaces
    (Chinese, Thai ...) every token is a word. White space belongs to the next word.

    Args:
        pieces: of `exact_pieces`.
        alone: control tokens, which are no text; each is its own word.
    """
    text, apart = "".join(pieces), set(alone)
    inside = {at for start, end in units(text) for at in range(start + 1, end)}
    offsets = _offsets(pieces)
    starts: list[int] = []
    for first, _ in character_spans(pieces, apart):
        at = offsets[first]
        so_far = text[offsets[starts[-1]] : at] if starts else ""
        goes_on = starts and (at in inside or not so_far.strip())
        if first in apart or starts and starts[-1] in apart or not goes_on:
            starts.append(first)
    if starts and not text[offsets[starts[-1]] :].strip():
        _join_last(starts, apart)
    return _spans(starts, len(pieces))


def _join_last(starts: list[int], apart: set[int]) -> None:
    """Join the last group to the one before, unless one of them is a control token."""
    if len(starts) > 1 and not apart.intersection({starts[-2], starts[-1]}):
        starts.pop()


def _offsets(pieces: Sequence[str]) -> list[int]:
    offsets = [0]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece))
    return offsets


def _spans(starts: Sequence[int], count: int) -> list[Span]:
    return list(zip(starts, [*starts[1:], count], strict=True)) if count else []
