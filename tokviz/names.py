"""A name that is not known: one sentence for every place where names are looked up."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 60
"""Characters of a strange name that are repeated."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return " Did you mean 'fastv'?" for a name close to a known one, else "".

    Case, spaces and the choice of - or _ do not count, so "Faster VLM" is close to "fastervlm".
    """
    folded = {folded_name(one): one for one in known}
    close = get_close_matches(folded_name(str(name)[:SHOWN]), folded, n=1, cutoff=0.6)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def folded_name(name: str) -> str:
    """Return a name as it is compared: small letters and digits only."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return "there is no method 'fastvv'. Did you mean 'fastv'? Known: ..."."""
    known = sorted(str(one) for one in known)
    guess = did_you_mean(name, known)
    return f"there is no {kind} {str(name)[:SHOWN]!r}.{guess} Known: {', '.join(known) or 'none'}."
