r"""Multiple choice: which of the options does an answer mean?

The first of these rules that finds something counts:

1. the whole answer is one option's text;
2. a letter, or an option's text, in a box: \boxed{B};
3. a letter that the answer begins with, by itself or before a sign ("B", "b)", "(B) a dog",
   "B: dog", "**B**", "### B", "- B") or, other than the words "A" and "I", before a word ("B is
   right");
4. a letter that is named as the answer or the option ("The answer is: B", "the correct option is
   (b)", "答案是B"), then one in brackets or in bold anywhere ("it is [B]"), then one that is called
   right or chosen ("I think it's B.", "A is correct", "not B but C") or ends a line after a sign
   ("Based on the image, B");
5. exactly one option's text ("I think it is a dog"), the longest where one is part of another.

A letter or text that is denied ("not B", "A is wrong", "neither A nor B", "B rather than C") is
left out before. Several letters ("B or C", a list of all options) and everything else mean no
option and count as wrong: a guess would make the model look better than it is.

Options are lettered in Latin, so a Cyrillic or Greek capital that looks like one of the letters
(В, Β) is read as that letter where it stands alone, but not before a word of its own script: there
it is a word, as in "В центре". Full-width letters and those of mathematics (Ｂ, 𝐁, Ⓑ) are the
letters that they stand for. What a model thinks aloud (<think>...</think>) is no answer, and where
it marks one (<answer>B</answer>), only that is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokviz.budget import whole_number
from tokviz.errors import InputError
from tokviz.evaluation.choice_letters import SEVERAL, letter_of
from tokviz.evaluation.choice_text import boxed, plain
from tokviz.evaluation.exact import normalise, words_of

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DENYING = ("not", "no", "nor", "neither", "never", "without", "t")
"""Words before an option's text that deny it; "t" is what is left of "isn't"."""
DENYING_PAIRS = (("rather", "than"), ("instead", "of"), ("other", "than"))


def chosen_option(answer: str, options: Sequence[str]) -> int | None:
    """Return the number of the option that an answer means; None if it means none or several.

    Args:
        answer: what was said.
        options: 2 to 26 texts, lettered A, B, C in this order.

    Raises:
        InputError: fewer than two options, more than letters, or what is no text.
    """
    listed = isinstance(options, (list, tuple))
    if not listed or not all(isinstance(option, str) for option in options):
        raise InputError("options must be a list of texts, one per letter.")
    if not 2 <= len(options) <= len(LETTERS):
        raise InputError(f"give 2 to {len(LETTERS)} options, got {len(options)}.")
    letters = LETTERS[: len(options)]
    said = plain(answer, letters)
    texts = [normalise(option) for option in options]
    for whole in (answer, said, *boxed(answer)[-1:]):
        if texts.count(normalise(whole)) == 1:
            return texts.index(normalise(whole))
    inside = [plain(one, letters) for one in boxed(answer)]
    letter = letter_of(said, inside, letters)
    if letter:
        return None if letter == SEVERAL else letters.index(letter)
    return _by_text(said, options)


def _by_text(answer: str, options: Sequence[str]) -> int | None:
    """Return the option whose whole text is in an answer; the longest of several."""
    said = words_of(answer)
    texts = [words_of(option) for option in options]
    inside = [number for number, text in enumerate(texts) if text and _stands_in(text, said)]
    longest = [
        i for i in inside
        if not any(i != j and _places(texts[i], texts[j]) for j in inside)
    ]  # fmt: skip
    return longest[0] if len(longest) == 1 else None


def _stands_in(text: list[str], said: list[str]) -> bool:
    """Return whether the words of an option are in an answer, and not denied there."""
    return any(not _denied(said[:place]) for place in _places(text, said))


def _places(text: list[str], said: list[str]) -> list[int]:
    """Return where the words of a text begin in an answer."""
    last = len(said) - len(text)
    return [start for start in range(last + 1) if said[start : start + len(text)] == text]


def _denied(before: list[str]) -> bool:
    """Return whether the words before a text deny it; articles between do not matter."""
    while before and before[-1] in ("a", "an", "the"):
        before = before[:-1]
    return before[-1:] != [] and (before[-1] in DENYING or tuple(before[-2:]) in DENYING_PAIRS)


def same_option(answer: str, options: Sequence[str], right: int | str) -> bool:
    """Return whether an answer means the right option, given by number from 0 or by letter."""
    number = _number(right)
    if number is None or not 0 <= number < len(options):
        raise InputError(f"the right option must be one of {len(options)}, got {right!r}.")
    return chosen_option(answer, options) == number


def _number(right: Any) -> int | None:
    """Return the number of an option that is given by number or by letter; None for no option."""
    if not isinstance(right, str):
        return whole_number(right)
    letter = right.strip().upper()
    return LETTERS.index(letter) if len(letter) == 1 and letter in LETTERS else None
