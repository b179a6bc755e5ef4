"""Which text does a token of a vocabulary represent?

Tokenizers mark word starts in one of a few ways (MARKS). The way is found once per tokenizer
(`tokviz.models.answer_text.word_marks`) and stored in a trace.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from functools import cache

MARKS: dict[str, str] = {
    "sentencepiece": "U+2581 stands for the space before a word; <0x0A> for one byte",
    "byte_level": "every character stands for one byte; U+0120 for the space before a word",
    "wordpiece": "## stands before what continues a word",
    "word_level": "every token is a word or a sign of its own",
    "unknown": "nothing is known",
}
"""How a tokenizer writes word starts in its vocabulary -> what that means."""
BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@cache
def byte_of_character() -> dict[str, int]:
    """Return the table of byte-level vocabularies: character -> byte.

    Printable bytes are their own characters; the other 68 are the code points from 256 on (GPT-2).
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}


def token_bytes(token: str, marks: str) -> bytes:
    """Return the UTF-8 bytes of a token, which may be a part of a character."""
    if marks == "byte_level":
        table = byte_of_character()
        if all(c in table for c in token):
            return bytes(table[c] for c in token)
        return token.encode("utf-8", "replace")  # a token added to the vocabulary as it is
    if marks == "sentencepiece":
        byte = BYTE.fullmatch(token)
        if byte:
            return bytes([int(byte[1], 16)])
        return token.replace("\u2581", " ").encode("utf-8", "replace")
    if marks == "wordpiece":
        token = token[2:] if token.startswith("##") else f" {token}"
    return token.encode("utf-8", "replace")


def spelled(tokens: Iterable[str], marks: str) -> list[str]:
    r"""Return the piece of text of each token; a character is in the piece of its last token.

    Bytes that are not valid text are written as \xf0.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    pieces = [decoder.decode(token_bytes(token, marks)) for token in tokens]
    rest = decoder.decode(b"", final=True)
    if pieces:
        pieces[-1] += rest
    return [shown(piece) for piece in pieces]


def shown(text: str) -> str:
    r"""Return a text with U+FFFD (the replacement character) written as \ufffd."""
    return text.replace("\ufffd", "\\ufffd")


def guess_marks(tokens: Sequence[str]) -> str:
    """Return how tokens mark word starts, guessed from some tokens.

    For traces that do not say it. Give the tokens of prompt and answer, since an answer alone may
    be too short.
    """
    counts = {
        "sentencepiece": sum(
            token.startswith("\u2581") or BYTE.fullmatch(token) is not None for token in tokens
        ),
        "byte_level": sum(token.startswith("\u0120") for token in tokens),
        "wordpiece": sum(token.startswith("##") for token in tokens),
    }
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else "word_level"
