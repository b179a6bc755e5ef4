"""An analysis' result as the page shows it: maps over the picture, curves, grids and numbers.

Every array of a result is one of four things, by its axes: a *map* has an axis of visual tokens, a
*curve* one axis (or a second one of a few named series), a *grid* two, and a *number* none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tokviz.analysis import Result
from tokviz.trace import Trace
from tokviz.view.encode import pack
from tokviz.view.overlay import overlay_payload
from tokviz.view.tables import AXIS_NAMES
from tokviz.view.words import trace_words

MAX_SERIES = 8
"""Largest number of curves in one chart."""
MAX_MAP = 1_500_000
"""Numbers of a map that are sent; of more only the mean over its rows is."""
MAIN = "result"
"""Name of the main array."""
OVERVIEW = "overview"
"""Name of the chart of all arrays that have the same axes as one of several curves."""
SIDE = 560
"""Longest side of the picture below a map, in pixels."""


@dataclass(frozen=True)
class Shown:
    """One array of a result, and what it is shown as."""

    name: str
    values: np.ndarray
    letters: tuple[str, ...]
    meaning: str
    kind: str
    "map, curve, grid or number."
    pages: tuple[str, ...] = ()
    "Names along the axis of which one place is shown at a time; () = there is no such axis."

    @property
    def text(self) -> str:
        """Name and axes, as the list of arrays shows them."""
        axes = " × ".join(axis_text(letter) for letter in self.letters)
        name = "the result" if self.name == MAIN else self.name.replace("_", " ")
        return f"{name}: {axes}" if axes else name


def axis_text(letter: str) -> str:
    """Return an axis in words, such as "answer token"."""
    return AXIS_NAMES.get(letter, letter).replace("_", " ")


def shown_arrays(result: Result, n: int) -> list[Shown]:
    """Return the arrays of a result, the main one first.

    Args:
        result: of an analysis of one run.
        n: visual tokens of that run.
    """
    arrays = {MAIN: (result.values, result.axes, result.meaning)}
    arrays |= {name: (part.values, part.axes, part.meaning) for name, part in result.parts.items()}
    found = [
        Shown(name, np.asarray(values), letters, meaning, kind_of(values, letters, result, n))
        for name, (values, axes, meaning) in arrays.items()
        for letters in [tuple(axes.split())]
        if np.size(values)
    ]
    return [replace(one, pages=page_names(one, result)) for one in found]


def page_axis(one: Shown, result: Result) -> int | None:
    """Return the axis of a grid of which one place is shown at a time: a named one, or the first.

    A grid of two axes, and everything that is no grid, has none.
    """
    if one.kind != "grid" or len(one.letters) < 3:
        return None
    doubled = [letter for letter in one.letters if one.letters.count(letter) > 1]
    named = [letter for letter in one.letters if letter in result.labels and letter not in doubled]
    return one.letters.index(named[-1]) if named else 0


def page_names(one: Shown, result: Result) -> tuple[str, ...]:
    """Return what the places along the axis of pages are called."""
    axis = page_axis(one, result)
    if axis is None:
        return ()
    letter, count = one.letters[axis], one.values.shape[axis]
    if letter in result.labels:
        return tuple(map(str, result.labels[letter]))
    return tuple(f"{axis_text(letter)} {number}" for number in range(count))


def on_page(one: Shown, result: Result, page: int) -> Shown:
    """Return an array with pages as its page of this number, an array without as it is."""
    axis = page_axis(one, result)
    if axis is None:
        return one
    values = one.values.take(min(max(page, 0), one.values.shape[axis] - 1), axis)
    letters = one.letters[:axis] + one.letters[axis + 1 :]
    return replace(one, values=values, letters=letters)


def alike(result: Result, n: int) -> list[Shown]:
    """Return the curves that share one chart: the most that have the same two axes."""
    curves = [one for one in shown_arrays(result, n) if one.kind == "curve"]
    pairs = [one.letters for one in curves if len(one.letters) == 2]
    if not pairs:
        return []
    most = max(pairs, key=pairs.count)
    return [one for one in curves if one.letters == most] if pairs.count(most) > 1 else []


def kind_of(values: np.ndarray, letters: tuple[str, ...], result: Result, n: int) -> str:
    """Return map, curve, grid or number for an array with these axes."""
    if not letters:
        return "number"
    if "n" in letters and np.shape(values)[letters.index("n")] == n:
        return "map"
    series = len(letters) == 2 and np.shape(values)[1] <= MAX_SERIES
    named = series and (letters[1] in result.labels or letters[1] in "im")
    return "curve" if len(letters) == 1 or named else "grid"


def names_along(letter: str, count: int, labels: Mapping[str, Any], trace: Trace) -> list[str]:
    """Return what stands at each place of an axis: labels, words, or numbers."""
    if letter == "t" and count == trace.t:
        return [word["text"] for word in trace_words(trace)]
    if len(labels.get(letter, ())) == count:
        return [str(name) for name in labels[letter]]
    if letter == "s" and count == len(trace.prompt_tokens):
        texts = enumerate(trace.prompt_texts)
        return [f"{row} {text.strip(' ')}".replace("\n", "⏎") for row, text in texts]
    return [str(number) for number in range(count)]


def map_rows(one: Shown) -> tuple[np.ndarray, str]:
    """Return a map as [rows, n] and the letter of its rows ("" for one row).

    Of several axes beside the tokens the first is kept, and the mean is taken over the others.
    """
    values = np.moveaxis(one.values.astype(np.float32), one.letters.index("n"), -1)
    rest = [letter for letter in one.letters if letter != "n"]
    if not rest:
        return values[None], ""
    if len(rest) > 1:
        values = nan_mean(values, tuple(range(1, len(rest))))
    if values.size > MAX_MAP:
        return nan_mean(values, (0,))[None], ""
    return values, rest[0]


def nan_mean(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Return the mean of the finite numbers along some axes, NaN where there is none."""
    there = np.isfinite(values)
    count = there.sum(axes)
    total = np.where(there, values, 0).sum(axes)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def map_payload(one: Shown, result: Result, trace: Trace) -> dict[str, Any]:
    """Return a map for the browser: numbers [rows, n], names of the rows, and the picture."""
    values, letter = map_rows(one)
    names = names_along(letter, len(values), result.labels, trace) if letter else []
    tokens = list(result.labels["n"]) if len(result.labels.get("n", ())) == trace.n else []
    return {
        "values": pack(values, "f4"),
        "rows": names,
        "axis": axis_text(letter) if letter else "",
        "tokens": tokens,
        "overlay": overlay_payload(trace, f"map of {one.name}", slim=True)
        | {"stages": [], "fates": None, "attention": None},
    }


def numbers_of(result: Result, n: int) -> list[list[str]]:
    """Return the single numbers of a result as [name, value, meaning]."""
    return [
        [
            "result" if one.name == MAIN else one.name.replace("_", " "),
            told(one.values),
            one.meaning,
        ]
        for one in shown_arrays(result, n)
        if one.kind == "number"
    ]


def told(value: Any) -> str:
    """Return a single number as text."""
    plain = np.asarray(value).item()
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, int):
        return f"{plain:,}"
    return f"{plain:.4g}" if np.isfinite(plain) else "no number"


def result_view(result: Result, trace: Trace) -> dict[str, Any]:
    """Return what is said of a result: its texts, its arrays by kind, its single numbers."""
    found = shown_arrays(result, trace.n)
    drawn = [one for one in found if one.kind != "number"]
    return {
        "name": result.name,
        "title": result.title,
        "exactness": result.exactness,
        "meaning": result.meaning,
        "not_meaning": result.not_meaning,
        "notes": list(result.notes),
        "arrays": [*overview(result, trace.n), *map(listed, drawn)],
        "numbers": numbers_of(result, trace.n),
    }


def listed(one: Shown) -> dict[str, Any]:
    """Return an array's entry in the list of arrays."""
    return {
        "name": one.name,
        "text": one.text,
        "kind": one.kind,
        "meaning": one.meaning,
        "pages": list(one.pages),
    }


def overview(result: Result, n: int) -> list[dict[str, Any]]:
    """Return the entry of the chart of several curves at once, if the result has such."""
    together = alike(result, n)
    if not together:
        return []
    text = f"overview: {', '.join(one.text.partition(':')[0] for one in together)}"
    return [{"name": OVERVIEW, "text": text, "kind": "curve", "meaning": "", "pages": []}]


def chosen_array(result: Result, trace: Trace, name: Any) -> Shown | None:
    """Return the array of this name, else the first that can be drawn; None when none can."""
    drawn = [one for one in shown_arrays(result, trace.n) if one.kind != "number"]
    return next((one for one in drawn if one.name == name), drawn[0] if drawn else None)
