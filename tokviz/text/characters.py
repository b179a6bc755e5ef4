"""Where does a character end, and where does a word end?

A character is what a reader sees as one: a letter with its vowel signs, a joined emoji, a flag. The
rules are those of Unicode's annex 29 (extended grapheme clusters) for the scripts and emoji in use,
without a few prepended marks and old Hangul in rare orders. Words are runs of letters, digits and
their marks. In scripts without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese
...) every character is a unit here, since finding words would need a dictionary.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import pairwise

JOINER, NON_JOINER = "\u200d", "\u200c"
APOSTROPHES = ("'", "\u2019", "\u02bc")
BETWEEN_DIGITS = (".", ",", ":", "\u066b")
VIRAMAS = frozenset("\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d")
"""Marks that join two consonants of an Indic script into one character."""
AM = frozenset("\u0e33\u0eb3")
"""Vowels of Thai and Lao: letters by category, but part of the letter before."""
UNSPACED = (
    (0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF),
    (0x3005, 0x3007), (0x3040, 0x312F), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
    (0xA980, 0xA9DF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)  # fmt: skip
"""Code points of scripts without spaces between words, both ends included."""


def characters(text: str) -> list[str]:
    """Return the characters of a text as a reader counts them; joined they are the text."""
    return [text[a:b] for a, b in _clusters(text)]


def character_starts(text: str) -> list[int]:
    """Return the offsets at which a character begins, ascending."""
    starts, flags = [], 0
    for at, c in enumerate(text):
        flags = flags + 1 if _is_flag_letter(c) else 0
        if at == 0 or not _joins(text[at - 1], c, flags):
            starts.append(at)
    return starts


def _joins(before: str, c: str, flags: int) -> bool:
    """Return whether two code points are in one character; `flags` = flag letters up to c."""
    if before == "\r" and c == "\n":
        return True
    if before in "\r\n" or c in "\r\n":
        return False
    if extends(c) or c in AM:
        return True
    if before == JOINER:
        return not c.isalnum() and not c.isspace()  # the next emoji of a joined one
    if before in VIRAMAS:
        return unicodedata.category(c) == "Lo"
    return (flags and flags % 2 == 0) or _hangul_joins(before, c)


def extends(c: str) -> bool:
    """True for marks that belong to the code point before: accents, vowel signs, skin colours."""
    code = ord(c)
    return (
        unicodedata.category(c)[0] == "M"
        or c in (JOINER, NON_JOINER)
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
    )


def _is_flag_letter(c: str) -> bool:
    return 0x1F1E6 <= ord(c) <= 0x1F1FF


def _hangul_joins(before: str, c: str) -> bool:
    """True within a Korean syllable written as single letters: lead, vowel, tail."""
    a, b = ord(before), ord(c)
    syllable = 0xAC00 <= a <= 0xD7A3
    lead, vowel, tail = 0x1100 <= a <= 0x115F, 0x1160 <= b <= 0x11A7, 0x11A8 <= b <= 0x11FF
    if vowel:
        return lead or 0x1160 <= a <= 0x11A7 or (syllable and (a - 0xAC00) % 28 == 0)
    return tail and (syllable or 0x1160 <= a <= 0x11FF)


def is_unspaced(c: str) -> bool:
    """True for a character of a script without spaces between words."""
    code = ord(c)
    return any(low <= code <= high for low, high in UNSPACED)


def is_word_character(c: str) -> bool:
    """True for letters, digits and the underscore; marks that extend one belong to it."""
    return c.isalnum() or c == "_"


def units(text: str) -> list[tuple[int, int]]:
    """Return [start, end) of each word and each punctuation mark of a text, without white space.

    A word keeps its apostrophe ("don't") and a number its points ("3.5", "12:30").
    """
    found: list[tuple[int, int]] = []
    for start, end in _clusters(text):
        if text[start].isspace():
            continue
        if found and found[-1][1] == start and _one_word(text, found[-1][0], start):
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def unit_texts(text: str) -> list[str]:
    """Return the words and punctuation marks of a text."""
    return [text[a:b] for a, b in units(text)]


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    starts = character_starts(text)
    yield from pairwise([*starts, len(text)] if starts else ())


def _one_word(text: str, first: int, at: int) -> bool:
    """Return whether the word that begins at `first` continues at `at`."""
    if not is_word_character(text[first]) or is_unspaced(text[first]) or is_unspaced(text[at]):
        return False
    before, c = text[at - 1], text[at]
    if is_word_character(c):
        return True  # what stands before belongs to the word, or it would not reach to here
    after = text[at + 1] if at + 1 < len(text) else ""
    if c in APOSTROPHES:
        return after.isalpha() and not is_unspaced(after) and not before.isdigit()
    return c in BETWEEN_DIGITS and before.isdigit() and after.isdigit()
