"""Did the answer stay the same? The one rule that all of tokviz uses.

Two answers are the same if they have the same words and punctuation marks in the same order. Letter
case, white space, the Unicode form of a letter (composed or not) and a final full stop do not
count; everything else counts, also a comma or an article. "Yes, a dog." and "yes, a dog" are the
same answer, "a dog" and "the dog" are different.
"""

from __future__ import annotations

import unicodedata

from tokviz.evaluation.exact import checked_text
from tokviz.text.characters import unit_texts

FULL_STOPS = (".", "\u3002", "\uff0e", "\u0964", "\u06d4")
"""Full stops of Latin, Chinese and Japanese, full-width, Indic and Urdu text."""


def same_answer(answer: str, other: str) -> bool:
    """Return whether two answers are the same, by the rule of this module."""
    return compared_units(answer) == compared_units(other)


def compared_units(answer: str) -> list[str]:
    """Return the words and signs by which an answer is compared."""
    text = checked_text(answer)
    found = [compared(unit) for unit in unit_texts(unicodedata.normalize("NFC", text))]
    while found and found[-1] in FULL_STOPS:
        found.pop()
    return found


def compared(unit: str) -> str:
    """Return a word or sign in the form in which it is compared."""
    return unicodedata.normalize("NFC", unit.casefold().replace("\u2019", "'"))
