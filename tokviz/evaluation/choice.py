"""Multiple choice: which of the offered options does an answer mean?

An answer means an option when it starts with its letter ("B", "b)", "(B) a dog"), names the letter
after "answer is" or "option", or says exactly one option's text. Anything else means none, and
counts as wrong: guessing for the model would flatter it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokviz.errors import InputError
from tokviz.evaluation.exact import normalise

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def chosen_option(answer: str, options: Sequence[str]) -> int | None:
    """Return the number of the option that an answer means, None when it means none or several.

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
    lettered = re.match(rf"\s*\(?([{letters}{letters.lower()}])(?:[).:]|\s*$)", answer)
    lettered = lettered or re.match(rf"\s*\(?([{letters[1:]}])\b", answer)
    lettered = lettered or re.search(
        rf"\b(?:answer is|answer:|option)\s*\(?([{letters}])\b", answer, re.IGNORECASE
    )
    if lettered:
        return LETTERS.index(lettered[1].upper())
    inside = [i for i, text in enumerate(texts) if text and f" {text} " in f" {said} "]
    return inside[0] if len(inside) == 1 else None


def same_option(answer: str, options: Sequence[str], right: int | str) -> bool:
    """Tell whether an answer means the right option, given by number from 0 or by letter."""
    number = LETTERS.find(right.strip().upper()) if isinstance(right, str) else right
    if not 0 <= number < len(options) or right == "":
        raise InputError(f"the right option must be one of {len(options)}, got {right!r}.")
    return chosen_option(answer, options) == number
