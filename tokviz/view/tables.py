"""Arrays of runs and results as pandas tables, with their axes by name.

trace.to_pandas()              one row per visual token: where it lies, what became of it
trace.to_pandas("attention")   one row per number; index levels answer_token, layer, token
result.to_pandas()             the same of an analysis' main array; its labels in the index
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from tokviz.analysis import Result
from tokviz.errors import InputError
from tokviz.extras import how_to_install
from tokviz.matrix import FATES
from tokviz.trace import Trace
from tokviz.trace.layout import KINDS, PATCH
from tokviz.trace.schema import SCHEMA

AXIS_NAMES = {
    "t": "answer_token", "s": "prompt_token", "n": "token", "q": "model_row", "l": "layer",
    "h": "head", "u": "tower_layer", "g": "tower_head", "c": "candidate", "k": "read_word",
    "d": "sink_dimension", "b": "block", "p": "question_token", "w": "lens_word", "x": "control",
    "m": "modality", "z": "width", "y": "mark", "e": "explained_token", "v": "answer_word",
    "f": "fraction", "i": "item", "j": "image",
}  # fmt: skip
"""Axis letter -> name of an index level; other letters are their own names."""
MAX_ROWS = 50_000_000


def table(thing: Trace | Result, name: str | None = None) -> Any:
    """Return a trace or a result as a pandas DataFrame; see `Trace.to_pandas`."""
    if isinstance(thing, Result):
        part = thing if name is None else thing.parts[name]
        return long_table(part.values, part.axes, name or thing.name or "value", thing.labels)
    if name is None:
        return tokens_table(thing)
    array = thing[name]
    found = long_table(array, SCHEMA[name].axes, name)
    return placed(found, thing) if "token" in found.index.names else found


def tokens_table(trace: Trace) -> Any:
    """Return one row per visual token of a run."""
    layout, whole = trace.layout, trace.reduction
    kind = dict(enumerate(KINDS))
    columns: dict[str, Any] = {
        "image": layout.image,
        "tile": layout.tile,
        "row": layout.row,
        "column": layout.col,
        "kind": [kind[int(one)] for one in layout.kind],
        "prompt_row": layout.position,
        **dict(zip(("x0", "y0", "x1", "y1"), layout.box.T, strict=True)),
        "fate": [FATES[int(one)] for one in whole.fate],
        "group": whole.group,
        "stage": trace.went_at,
    }
    if whole.score is not None:
        columns["score"] = whole.score
    return pandas().DataFrame(columns, index=pandas().RangeIndex(trace.n, name="token"))


def long_table(
    values: Any, axes: str, name: str, labels: Mapping[str, Sequence[str]] | None = None
) -> Any:
    """Return an array as one row per number, with a named index level per axis.

    Args:
        values: the array.
        axes: its letters, separated by spaces.
        name: of the column.
        labels: letter -> names along that axis, in place of numbers.
    """
    array, frames = np.asarray(values), pandas()
    if array.size > MAX_ROWS:
        raise InputError(
            f"{name} has {array.size:,} numbers, too many for a table: take a part of the array."
        )
    if not array.ndim:
        return frames.DataFrame({name: [array.item()]})
    letters, named = axes.split(), labels or {}
    levels = [
        list(named[letter]) if letter in named else range(length)
        for letter, length in zip(letters, array.shape, strict=True)
    ]
    index = frames.MultiIndex.from_product(levels, names=level_names(letters))
    return frames.DataFrame({name: array.reshape(-1)}, index=index)


def level_names(letters: Sequence[str]) -> list[str]:
    """Return the names of axes; an axis that comes twice (a map of rows by rows) is numbered."""
    names = [AXIS_NAMES.get(letter, letter) for letter in letters]
    return [
        name if names.count(name) == 1 else f"{name}_{1 + names[:place].count(name)}"
        for place, name in enumerate(names)
    ]


def placed(found: Any, trace: Trace) -> Any:
    """Add each visual token's row and column in its grid; -1 where it has none."""
    token = found.index.get_level_values("token").to_numpy()
    patch = trace.layout.kind[token] == PATCH
    for name, values in (("row", trace.layout.row), ("column", trace.layout.col)):
        found[name] = np.where(patch, values[token], -1)
    return found


def pandas() -> Any:
    """Return the library; raise InputError when it is not installed."""
    if find_spec("pandas") is None:
        raise InputError(f"tables need pandas: {how_to_install('tables')}.")
    return import_module("pandas")
