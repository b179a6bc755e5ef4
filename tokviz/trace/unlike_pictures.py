"""The note of a trace whose pictures are unlike those that the model learned from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MEANS_LITTLE = "that this model learned from: what it says of it means little."
"""How the note ends."""


def unlike_sentence(unlike: Sequence[int], count: int, what: str) -> str:
    """Write the note.

    Args:
        unlike: numbers of the pictures concerned, from 1, at least one.
        count: pictures of the prompt.
        what: what the model learned from, in the plural.
    """
    numbers = ", ".join(map(str, unlike))
    which = f"Pictures {numbers} are" if len(unlike) > 1 else f"Picture {numbers} is"
    return f"{'The picture is' if count == 1 else which} unlike the {what} {MEANS_LITTLE}"


def says_unlike(notes: Iterable[str]) -> bool:
    """Tell whether the note is among those of a trace."""
    return any(note.endswith(MEANS_LITTLE) for note in notes)
