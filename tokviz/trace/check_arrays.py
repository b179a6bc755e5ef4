"""Checks of a trace's arrays: types, axes, and lengths that must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokviz.errors import TraceError
from tokviz.trace.schema import BLOCKS, CONTROLS, MODALITIES, PROMPT_INDICES, SCHEMA

if TYPE_CHECKING:
    from tokviz.trace.trace import Trace


def check_arrays(trace: Trace) -> None:
    """Raise TraceError unless every array fits SCHEMA, the layout and the others."""
    lengths = {
        "n": trace.layout.n,
        "t": len(trace.answer_tokens),
        "s": len(trace.prompt_tokens),
        "q": len(trace.prompt_tokens) + max(len(trace.answer_tokens) - 1, 0),
        "b": len(BLOCKS) if "mark_rows" in trace.arrays else len(BLOCKS) - 1,
        "x": len(CONTROLS),
        "m": len(MODALITIES),
    }
    for name, array in trace.arrays.items():
        _check_array(name, array, lengths)
    for name in PROMPT_INDICES:
        rows = trace.arrays.get(name, np.zeros(0, np.int32))
        if rows.size and (rows.min() < 0 or rows.max() >= lengths["s"]):
            raise TraceError(f"{name} points outside the {lengths['s']} tokens of the prompt.")
    if not all(0 <= token < lengths["t"] for token in trace.answer_marks):
        raise TraceError(f"answer_marks points outside the {lengths['t']} tokens of the answer.")
    alive = trace.layout.n
    for stage in trace.stages:
        if stage.reduction.n != alive:
            raise TraceError(f"a stage takes {stage.reduction.n} tokens, but {alive} were left.")
        alive = stage.reduction.m if stage.removes else alive


def _check_array(name: str, array: np.ndarray, lengths: dict[str, int]) -> None:
    """Raise TraceError unless an array fits SCHEMA; record the length of axes not seen yet."""
    spec = SCHEMA.get(name)
    if spec is None:
        raise TraceError(f"a trace has no array {name[:60]!r}.")
    if np.dtype(spec.dtype) != array.dtype:
        raise TraceError(f"{name} must be {np.dtype(spec.dtype)}, got {array.dtype}.")
    letters = spec.axes.split()
    if array.ndim != len(letters):
        raise TraceError(f"{name} must have axes [{spec.axes}], got {array.shape}.")
    for letter, length in zip(letters, array.shape, strict=True):
        if lengths.setdefault(letter, length) != length:
            raise TraceError(
                f"{name} has {length} along {letter!r}, other parts have {lengths[letter]}."
            )
