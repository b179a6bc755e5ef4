"""What an analysis hands back: named arrays with their axes, and what they do and do not mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tokviz.notebook_display import made

Exactness = Literal["exact", "sampled", "heuristic"]
"""exact: the numbers are exactly what `meaning` says, up to rounding. sampled: they are an estimate
of it, and a note says from how many samples. heuristic: they are an interpretation."""


@dataclass(frozen=True, eq=False)
class Part:
    """One array of a result."""

    values: np.ndarray
    axes: str
    """Axis letters as in `trace.SCHEMA`, separated by spaces; "" is a single number. Besides those:
    e explained tokens of prompt and answer, v words of the answer, f fractions, others as said."""
    meaning: str = ""

    def __post_init__(self) -> None:
        """Check that `values` has as many axes as `axes` names; raise ValueError."""
        if np.ndim(self.values) != len(self.axes.split()):
            raise ValueError(f"axes [{self.axes}] do not fit the shape {np.shape(self.values)}.")


def number(value: Any, meaning: str) -> Part:
    """Return a part that is a single number."""
    return Part(np.asarray(value), "", meaning)


@dataclass(frozen=True, eq=False)
class Result:
    """An answer to one question about one run."""

    values: np.ndarray
    "The main array, often a map over visual tokens [n], or one per answer token [t, n]."
    axes: str
    "Its axis letters, as in Part."
    parts: Mapping[str, Part] = field(default_factory=dict)
    "Further arrays that the analysis computed, by name."
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    "Names along an axis, by its letter."
    notes: tuple[str, ...] = ()
    "Sentences for the reader: a fallback that was used, something that was left out."
    name: str = ""
    title: str = ""
    meaning: str = ""
    "One sentence: what the numbers mean."
    not_meaning: str = ""
    "One sentence: what they do not mean."
    exactness: Exactness = "exact"
    cost: str = ""
    "Forward passes and memory, in words."

    def __post_init__(self) -> None:
        """Check that equal letters have equal lengths; raise ValueError."""
        lengths: dict[str, int] = {}
        for part in (Part(self.values, self.axes), *self.parts.values()):
            for letter, length in zip(part.axes.split(), np.shape(part.values), strict=True):
                if lengths.setdefault(letter, length) != length:
                    raise ValueError(f"axis {letter!r} is {length} and {lengths[letter]} long.")
        for letter, names in self.labels.items():
            if lengths.get(letter, len(names)) != len(names):
                raise ValueError(f"{len(names)} labels for {lengths[letter]} along {letter!r}.")

    def __repr__(self) -> str:
        """Return a few words; the arrays' contents would fill the screen."""
        sizes = zip(self.axes.split(), np.shape(self.values), strict=True)
        shape = ", ".join(f"{letter} {length}" for letter, length in sizes) or "one number"
        parts = f"; parts: {', '.join(self.parts)}" if self.parts else ""
        return f"<Result {self.name or self.title!r} [{shape}], {self.exactness}{parts}>"

    def _repr_html_(self) -> str | None:
        """Return the result as Jupyter shows it."""
        return made("result", self)

    def to_pandas(self, part: str | None = None) -> Any:
        """Return a pandas DataFrame with one row per number and an index level per axis.

        Args:
            part: a further array, a key of `parts`; None = the main one. Axes are named
                answer_token, layer, head, token ...; where there are `labels`, they are in the
                index in place of numbers.

        Raises:
            InputError: pandas is not installed, or the array is too large for a table.
        """
        return made("table", self, part)

    def __getitem__(self, part: str) -> Part:
        return self.parts[part]

    def as_record(self) -> dict[str, Any]:
        """Return everything as JSON-ready values; numbers that are not finite become null."""
        return {
            "analysis": self.name,
            "title": self.title,
            "meaning": self.meaning,
            "not_meaning": self.not_meaning,
            "exactness": self.exactness,
            "cost": self.cost,
            **_record(Part(self.values, self.axes)),
            "parts": {
                name: {**_record(part), "meaning": part.meaning}
                for name, part in self.parts.items()
            },
            "labels": {letter: list(names) for letter, names in self.labels.items()},
            "notes": list(self.notes),
        }


def _record(part: Part) -> dict[str, Any]:
    return {
        "axes": part.axes,
        "shape": list(np.shape(part.values)),
        "values": _plain(np.asarray(part.values)),
    }


def _plain(array: np.ndarray) -> Any:
    """Return nested lists of numbers and truth values."""
    if array.ndim:
        return [_plain(np.asarray(one)) for one in array]
    item = array.item()
    return item if isinstance(item, (bool, int)) or np.isfinite(item) else None
