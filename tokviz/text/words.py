"""Which tokens make up a character, and which a word?

The one place that knows it: views, analyses, reports and the page ask here. What counts is the text
that the tokens spell (`exact_pieces`), never how they look: a token without a space before it goes
on with the word before, however few tokens an answer has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokviz.text.characters import character_starts, units
from tokviz.text.token_bytes import guess_marks, spelled

Span = tuple[int, int]
CLOSING = ".,;:!?'\u2019\u2026)]}%\u3002\uff0c\uff01\uff1f"
"""Signs that no space goes before, where words come without spaces."""


def exact_pieces(
    tokens: Sequence[str], answer: str, marks: str = "", others: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the piece of the answer that each token spells; joined they are the answer.

    Args:
        tokens: pieces of the answer already, or tokens as the vocabulary writes them.
        answer: the whole text.
        marks: a key of MARKS; "" = tell it from the tokens and `others`.
        others: further tokens of the same vocabulary, such as the prompt's.

    Returns:
        One text per token. Where tokens and answer contradict each other, what the tokens say.
    """
    if "".join(tokens) == answer:
        return tuple(tokens)
    marks = marks or guess_marks([*others, *tokens])
    pieces = spelled(tokens, marks)
    return _found_in(answer, pieces) or tuple(_spaced(pieces, marks))


def _found_in(answer: str, pieces: Sequence[str]) -> tuple[str, ...]:
    """Return the stretches of an answer that pieces stand for; () where one is not found."""
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


def character_spans(pieces: Sequence[str], alone: Iterable[int] = ()) -> list[Span]:
    """Group tokens whose characters are one: [start, stop) per group, covering every token.

    A letter spelled over several tokens, a joined emoji or a letter with its vowel signs is one
    group; so is a token that spells nothing with the next one.

    Args:
        pieces: of `exact_pieces`.
        alone: tokens that are marks and no text; each is a group of its own.
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

    "don't" and "3.5" are one word; other punctuation stands alone. In scripts without spaces
    (Chinese, Thai ...) every token is a word. Bare white space goes with what follows.

    Args:
        pieces: of `exact_pieces`.
        alone: tokens that are marks and no text; each is a word of its own.
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
    """Let the last group go with the one before, unless one of the two is a mark."""
    if len(starts) > 1 and not apart.intersection({starts[-2], starts[-1]}):
        starts.pop()


def _offsets(pieces: Sequence[str]) -> list[int]:
    offsets = [0]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece))
    return offsets


def _spans(starts: Sequence[int], count: int) -> list[Span]:
    return list(zip(starts, [*starts[1:], count], strict=True)) if count else []
