"""Exact match after normalising: does the answer equal the reference except case and punctuation?

Texts are compared in lower case and in Unicode's composed form (NFC), with vowel signs and accents.
A text without letters and digits ("🔥", "+") is compared by its other characters.

Several references are either accepted answers, of which one is enough, or the ten answers that
people gave to a question of VQAv2, TextVQA and similar data sets. Then the score is that of the
official evaluation (GT-Vision-Lab/VQA): min(n / 3, 1) for n people who gave the same answer,
averaged over leaving out each person in turn. Departures: punctuation is removed as in `normalise`,
contractions are compared without their apostrophe instead of by a list, and both also if all ten
people agree (then the official code compares the texts unchanged).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokviz.errors import InputError
from tokviz.text.characters import APOSTROPHES, extends

ARTICLES = {"a", "an", "the"}
PEOPLE = 10
"""Number of people who answered each question of VQA; so many references get VQA's score."""
NUMBERS = ("none", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
           "ten")  # fmt: skip
DIGITS = {word: str(max(number - 1, 0)) for number, word in enumerate(NUMBERS)}
"""Number words that the official evaluation of VQA reads as digits; "none" is 0."""
WORD = re.compile(r"(?<!\w)-?\d+(?:[.,:]\d+)*(?!\w)|[^\W_]+")
"""A number with its sign and inner points ("3.5" is not "35"), or a run of letters and digits."""


def checked_text(text: Any) -> str:
    """Return an answer or a reference; raise InputError for what is no text."""
    if not isinstance(text, str):
        raise InputError(f"an answer must be a text, got a {type(text).__name__}.")
    return text


def words_of(text: str, pattern: re.Pattern[str] = WORD) -> list[str]:
    """Return the words of a text that a pattern finds, in lower case and NFC.

    Marks that belong to a letter count as letters; Python's own patterns would end a word there.
    """
    text = unicodedata.normalize("NFC", checked_text(text).lower())
    letters = "".join("x" if extends(c) else c for c in text)
    return [text[m.start() : m.end()] for m in pattern.finditer(letters)]


def normalise(text: str) -> str:
    """Return an answer in lower case, without punctuation, articles and extra spaces."""
    words = words_of(text)
    if not words:
        return " ".join(unicodedata.normalize("NFC", text.lower()).split())
    return " ".join([word for word in words if word not in ARTICLES] or words)


def checked_list(
    texts: Any, what: str = "accepted answers", form: str = "a text or a list of texts"
) -> list[str]:
    """Return a list of texts; raise InputError for anything else, `what` in the given `form`."""
    if isinstance(texts, (str, bytes, Mapping)) or not isinstance(texts, Iterable):
        raise InputError(f"{what} must be {form}, got a {type(texts).__name__}.")
    return [checked_text(one) for one in texts]


def exact_match(answer: str, references: str | Sequence[str]) -> bool:
    """Return whether a normalised answer equals one of the normalised references."""
    known = [references] if isinstance(references, str) else checked_list(references)
    return normalise(answer) in {normalise(reference) for reference in known}


def accepted_score(answer: str, accepted: Sequence[str]) -> float:
    """Return the score of an answer, 0 to 1, by a list of answers; see the module's text.

    Args:
        answer: what was said.
        accepted: PEOPLE answers = VQA's score; any other number = 1 if it is one of them.
    """
    accepted = [accepted] if isinstance(accepted, str) else checked_list(accepted)
    if len(accepted) != PEOPLE:
        return float(exact_match(answer, accepted))
    said, people = vqa_form(answer), [vqa_form(one) for one in accepted]
    same = sum(one == said for one in people)
    scores = [min((same - (one == said)) / 3, 1.0) for one in people]
    return sum(scores) / len(scores)


def vqa_form(text: str) -> str:
    """Return an answer as VQA compares it: normalised, number words as digits, no apostrophes."""
    text = checked_text(text)
    for sign in APOSTROPHES:
        text = text.replace(sign, "")
    return " ".join(DIGITS.get(word, word) for word in normalise(text).split())
