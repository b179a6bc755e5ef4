"""The sentence about an unknown name, for all look-ups of names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 60
"""Largest number of characters of an unknown name in a message."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return " Did you mean 'fastv'?" for a name close to a known one, else "".

    Case, spaces and the choice of - or _ do not count, so "Faster VLM" is close to "fastervlm".
    """
    folded = {folded_name(one): one for one in known}
    close = get_close_matches(folded_name(str(name)[:SHOWN]), folded, n=1, cutoff=0.6)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def folded_name(name: str) -> str:
    """Return a name in the form that is compared: only lower-case letters and digits."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return "there is no method 'fastvv'. Did you mean 'fastv'? Known: ..."."""
    known = sorted(str(one) for one in known)
    guess = did_you_mean(name, known)
    return f"there is no {kind} {str(name)[:SHOWN]!r}.{guess} Known: {', '.join(known) or 'none'}."
