r"""Multiple choice: which of the options does an answer mean?

The first of these rules that finds something counts:

1. the whole answer is one option's text;
2. a letter in a box: \boxed{B};
3. a letter that the answer begins with, by itself or before a sign ("B", "b)", "(B) a dog",
   "B: dog", "**B**") or, other than the words "A" and "I", before a word ("B is right");
4. a letter that is named as the answer or the option ("The answer is: B", "the correct option is
   (b)", "答案是B"), then one in brackets or in bold anywhere ("it is [B]");
5. exactly one option's text ("I think it is a dog"), the longest where one is part of another.

Two letters ("B or C"), a negated letter ("not B") and everything else mean no option and count as
wrong: a guess would make the model look better than it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from tokviz.errors import InputError
from tokviz.evaluation.exact import normalise, words_of

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BOX = re.compile(r"\\(?:boxed|fbox)\s*\{\s*(?:\\(?:text|mathrm|mathbf|textbf)\s*\{)?\s*([^{}]*)")
TEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}")
NAMED = re.compile(
    r"(?i:\b(?:answer|option|choice|letter)\b|答案|选项|选择|选|正解|答え)"
    r"(?i:(?:\s+(?:is|was|are|would|should|must|be|the|correct|right|option|choice|letter|answer)\b)*)"
    r"\s*(?:是|为|は)?\s*(?:[:=>]|[-\u2013\u2014]+)?\s*"
)
NO_WORD = r"(?![\w'-])"
FURTHER = r"(?:or\b|and\b|,|/|&|\+)"
"""The text between two letters of one answer."""


def chosen_option(answer: str, options: Sequence[str]) -> int | None:
    """Return the number of the option that an answer means; None if it means none or several.

    Args:
        answer: what was said.
        options: 2 to 26 texts, lettered A, B, C in this order.

    Raises:
        InputError: fewer than two options, or more than letters.
    """
    if not 2 <= len(options) <= len(LETTERS):
        raise InputError(f"give 2 to {len(LETTERS)} options, got {len(options)}.")
    said = normalise(answer)
    texts = [normalise(option) for option in options]
    if texts.count(said) == 1:
        return texts.index(said)
    letters = LETTERS[: len(options)]
    letter = _letter(unicodedata.normalize("NFKC", answer).replace("\u2019", "'"), letters)
    if letter:
        return LETTERS.index(letter.upper()) if letter != "?" else None
    return _by_text(answer, options)


def _letter(answer: str, letters: str) -> str:
    """Return the letter that an answer names; "?" for several letters, "" for none."""
    boxed = [m[1].strip(" .()$*") for m in BOX.finditer(answer)]
    found = [text for text in boxed if len(text) == 1 and text.upper() in letters]
    if found:
        return found[-1]
    bold = re.sub(r"(\*\*|__)\s*([A-Za-z])\s*[.):]?\s*\1", r"(\2)", TEX.sub(r"\1", answer))
    square = bold.replace("【", "[").replace("】", "]")
    text = re.sub(r"[*_`$\"“”]|</?[A-Za-z]+>", "", square).strip()
    return _first(text, letters) or _named(text, letters) or _bracketed(text, letters)


def _first(text: str, letters: str) -> str:
    """Return the letter that a text begins with."""
    both = letters + letters.lower()
    if re.match(rf"[(\[]?[{letters}][)\]]?\s*{FURTHER}\s*[(\[]?[{letters}]\b", text):
        return "?"
    sign = r"[).:\]、](?:(?!\w)|\s*(?=\w\w))"  # not in "a.m."
    found = re.match(rf"[(\[]\s*([{both}])\s*[)\]]|([{both}])\s*(?:{sign}|$)", text)
    if found:
        return found[1] or found[2]
    plain = "".join(letter for letter in letters if letter not in "AI")
    found = re.match(rf"([{plain}]){NO_WORD}", text) if plain else None
    words = r"\s+(?:is|because|since)\b|\s*[,;\u2013\u2014]|\s+-\s"
    return (found or re.match(rf"([{letters}])(?={words})", text) or [""] * 2)[1]


def _named(text: str, letters: str) -> str:
    """Return the letter that is called the answer or the option."""
    ends = r"\s*(?:[).,:;!?\]]|$|because\b|since\b|as\b|for\b|is\b|and\b|or\b|,|-\s)"
    letter = re.compile(
        rf"[(\[]\s*([{letters}{letters.lower()}])\s*[)\]]"
        rf"|([{letters}]){NO_WORD}(?={ends}|\s+[A-Z(])"
        rf"|([{letters.replace('A', '').replace('I', '') or '~'}]){NO_WORD}"
        rf"|([{letters.lower()}])(?=\s*(?:[.),!\]]?\s*$|\)))"
    )
    found = []
    for start in NAMED.finditer(text):
        named = letter.match(text, start.end())
        if named:
            before = text[: start.start()].rsplit(None, 1)[-1:]
            denied = before and before[0].lower() in ("not", "isn't", "no")
            found += [] if denied else [next(filter(None, named.groups())).upper()]
            rest = text[named.end() :]
            after = re.match(rf"\s*{FURTHER}\s*[(\[]?([{letters}]){NO_WORD}", rest)
            found += [after[1]] if after else []
    return _only(found)


def _bracketed(text: str, letters: str) -> str:
    """Return the letter in brackets; "" if there is none or several."""
    both = letters + letters.lower()
    found = re.finditer(rf"(?<!\w)(?<!not )[(\[]([{both}])[)\]]", text)
    return _only([m[1].upper() for m in found])


def _only(found: Sequence[str]) -> str:
    return "" if not found else found[0] if len(set(found)) == 1 else "?"


def _by_text(answer: str, options: Sequence[str]) -> int | None:
    """Return the option whose whole text is in an answer; the longest of several."""
    said = f" {' '.join(words_of(answer))} "
    texts = [" ".join(words_of(option)) for option in options]
    inside = [i for i, text in enumerate(texts) if text and f" {text} " in said]
    longest = [
        i for i in inside
        if not any(i != j and f" {texts[i]} " in f" {texts[j]} " for j in inside)
    ]  # fmt: skip
    return longest[0] if len(longest) == 1 else None


def same_option(answer: str, options: Sequence[str], right: int | str) -> bool:
    """Return whether an answer means the right option, given by number from 0 or by letter."""
    number = LETTERS.find(right.strip().upper()) if isinstance(right, str) else right
    if not 0 <= number < len(options) or right == "":
        raise InputError(f"the right option must be one of {len(options)}, got {right!r}.")
    return chosen_option(answer, options) == number
