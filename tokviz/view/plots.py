"""Arrays of a run with matplotlib: a map over the picture, lines, or an image of two axes.

trace.plot()                                attention of the whole answer, over the picture
trace.plot("attention", word="dog", layer=3)
trace.plot("answer_prob")                   a line along the answer
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from tokviz.budget import whole_number
from tokviz.errors import InputError
from tokviz.extras import how_to_install
from tokviz.names import unknown
from tokviz.trace import Trace
from tokviz.trace.schema import SCHEMA
from tokviz.view.still import draw
from tokviz.view.tables import AXIS_NAMES

CHOSEN_BY = {"layer": ("l", "u"), "head": ("h", "g")}


def plot(
    trace: Trace,
    name: str = "attention",
    word: int | str | None = None,
    layer: int | None = None,
    head: int | None = None,
    ax: Any = None,
) -> Any:
    """Draw one array of a run; see `Trace.plot`."""
    array, letters = trace[name], SCHEMA[name].axes.split()
    picked = {"layer": layer, "head": head}
    if word is not None:
        array, letters = take(array, letters, ("t",), answer_tokens(trace, word), "word", name)
    for key, wanted in picked.items():
        if wanted is not None:
            wanted = whole(key, wanted)
            array, letters = take(array, letters, CHOSEN_BY[key], [wanted], key, name)
    ax = ax if ax is not None else axes()
    if "n" in letters:
        others = tuple(place for place, letter in enumerate(letters) if letter != "n")
        over_picture(ax, trace, np.asarray(array, np.float32).mean(others))
    else:
        by_axes(ax, np.asarray(array, np.float32), letters, name)
    ax.set_title(title_of(name, word, picked))
    return ax


def take(
    array: np.ndarray, letters: list[str], axes: tuple[str, ...], numbers: Any, key: str, name: str
) -> tuple[np.ndarray, list[str]]:
    """Return an array averaged over some places along the first of these axes that it has."""
    found = next((axis for axis in axes if axis in letters), None)
    if found is None:
        raise InputError(f"{name} has no axis for {key}=; its axes: {', '.join(named(letters))}.")
    place = letters.index(found)
    length = array.shape[place]
    if not all(-length <= number < length for number in numbers):
        raise InputError(f"{key} must be 0 to {length - 1}, got {numbers[0]}.")
    part = np.asarray(array, np.float32).take(list(numbers), place).mean(place)
    return part, letters[:place] + letters[place + 1 :]


def answer_tokens(trace: Trace, word: int | str) -> list[int]:
    """Return the answer tokens of a word, given by its text or as the number of a token."""
    if not isinstance(word, str):
        return [whole("word", word)]
    spans = {
        "".join(trace.pieces[start:stop]).strip(): (start, stop)
        for start, stop in reversed(trace.word_spans)  # the first of equal words counts
    }
    if word not in spans:
        raise InputError(unknown("word in the answer", word, spans))
    return list(range(*spans[word]))


def whole(key: str, given: Any) -> int:
    """Return a whole number; raise InputError for anything else."""
    number = whole_number(given)
    if number is None:
        raise InputError(f"{key} must be a whole number, got {given!r:.40}.")
    return number


def over_picture(ax: Any, trace: Trace, values: np.ndarray) -> None:
    """Lay a map [n] over the run's picture."""
    ax.imshow(np.asarray(draw(trace, values, fates=bool(trace.stages))))
    ax.set_axis_off()


def by_axes(ax: Any, array: np.ndarray, letters: list[str], name: str) -> None:
    """Draw a line, or an image of two axes; further axes are averaged away."""
    words = named(letters)
    if array.ndim > 2:
        array = array.mean(tuple(range(1, array.ndim - 1)))
        words = [words[0], words[-1]]
    if array.ndim == 2:
        ax.figure.colorbar(ax.imshow(array, aspect="auto", cmap="viridis"), ax=ax, label=name)
        ax.set_ylabel(words[0])
        ax.set_xlabel(words[1])
        return
    ax.plot(np.atleast_1d(array), marker=".")
    ax.set_xlabel(words[0] if words else "")
    ax.set_ylabel(name)


def named(letters: list[str]) -> list[str]:
    """Return axes by their names."""
    return [AXIS_NAMES.get(letter, letter) for letter in letters]


def title_of(name: str, word: Any, picked: dict[str, int | None]) -> str:
    """Return what is drawn, in a few words."""
    chosen = {"word": word, **picked}
    told = [f"{key} {value}" for key, value in chosen.items() if value is not None]
    return ", ".join([name, *told])


def axes() -> Any:
    """Return new axes; raise InputError when matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise InputError(f"plots need matplotlib: {how_to_install('plot')}.")
    return import_module("matplotlib.pyplot").subplots()[1]
