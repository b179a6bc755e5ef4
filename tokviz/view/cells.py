"""Results and reductions in a notebook cell: a few lines of HTML, all texts escaped."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from tokviz.analysis import Result
from tokviz.matrix import FATES, Reduction
from tokviz.view.tables import AXIS_NAMES

COLOURS = ("#0072b2", "#e69f00", "#c8ccd4")
"""Of kept, merged and pruned tokens (Okabe and Ito's, and grey); heights differ, too."""
HEIGHTS = (18, 12, 5)
MAX_DRAWN = 4_096
"""Tokens of a reduction that are drawn one by one."""


def result_cell(result: Result) -> str:
    """Return what a result says: its meaning, its arrays with their ranges, its notes."""
    rows = [("result", result.values, result.axes, result.meaning)]
    rows += [(name, part.values, part.axes, part.meaning) for name, part in result.parts.items()]
    body = "".join(_row(*row) for row in rows)
    told = (f"Not meant: {result.not_meaning}" if result.not_meaning else "", *result.notes)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in told if note)
    head = f"{html.escape(result.title or result.name)} ({result.exactness})"
    return (
        f"<div><b>{head}</b><table><tr><th>array</th><th>axes</th><th>from</th><th>to</th>"
        f"<th>mean</th><th>meaning</th></tr>{body}</table><ul>{notes}</ul></div>"
    )


def _row(name: str, values: Any, axes: str, meaning: str) -> str:
    array = np.asarray(values)
    sizes = zip(axes.split(), array.shape, strict=True)
    shape = " × ".join(f"{length} {AXIS_NAMES.get(axis, axis)}" for axis, length in sizes)
    cells = (name, shape or "one number", *_range(array), meaning)
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def _range(array: np.ndarray) -> tuple[str, str, str]:
    """Return least, largest and mean of the finite numbers."""
    numbers = array.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return "", "", ""
    return f"{numbers.min():.4g}", f"{numbers.max():.4g}", f"{numbers.mean():.4g}"


def reduction_cell(reduction: Reduction) -> str:
    """Return how many tokens are left, and a strip with what became of each."""
    counts = np.bincount(reduction.fate, minlength=len(FATES))
    told = ", ".join(f"{count} {word}" for count, word in zip(counts, FATES, strict=True))
    text = f"{reduction.m} of {reduction.n} visual tokens are left: {told}."
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in reduction.notes)
    return f"<div><b>{text}</b>{_strip(reduction)}<ul>{notes}</ul></div>"


def _strip(reduction: Reduction) -> str:
    """Return a bar per source token, as an SVG of its own."""
    fate = reduction.fate[:MAX_DRAWN]
    bars = "".join(
        f'<rect x="{i}" y="{HEIGHTS[0] - HEIGHTS[one]}" width="0.9" height="{HEIGHTS[one]}" '
        f'fill="{COLOURS[one]}"/>'
        for i, one in enumerate(fate.tolist())
    )
    return (
        f'<svg viewBox="0 0 {max(len(fate), 1)} {HEIGHTS[0]}" width="100%" height="24" '
        f'preserveAspectRatio="none" role="img" aria-label="kept, merged, pruned">{bars}</svg>'
    )
