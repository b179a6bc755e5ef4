"""Which answer tokens make up one word?"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

SPACES = (" ", "▁", "Ġ", "\n", "Ċ")
"""What tokenizers write in front of a new word."""


def word_spans(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Group tokens into words: [start, stop) per word, covering every token.

    A token starts a word when it begins with a space, is punctuation or a marker such as </s>, or
    holds a character of a script written without spaces (Chinese, Japanese). Tokenizers that mark
    no spaces at all have whole words as tokens: then every token is a word.
    """
    if not any(token.startswith(SPACES) for token in tokens):
        return [(i, i + 1) for i in range(len(tokens))]
    starts = [i for i, token in enumerate(tokens) if i == 0 or _starts(token, tokens[i - 1])]
    return list(zip(starts, [*starts[1:], len(tokens)], strict=True))


def _starts(token: str, before: str) -> bool:
    return token.startswith(SPACES) or _stands_alone(token) or _stands_alone(before)


def _stands_alone(token: str) -> bool:
    """Punctuation, a marker, a bare space, or a character that is a word by itself."""
    token = token.strip("".join(SPACES))
    if token.startswith("<") and token.endswith(">"):
        return True
    return all(unicodedata.category(c)[0] == "P" or _is_cjk(c) for c in token)


def _is_cjk(character: str) -> bool:
    name = unicodedata.name(character, "")
    return name.startswith(("CJK", "HIRAGANA", "KATAKANA"))
