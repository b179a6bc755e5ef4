"""Reading and writing trace files. One file, numpy and safetensors only: copy it into your code.

    import trace_io
    header, arrays = trace_io.start(
        prompt="is there a dog ?", answer="yes", image_size=(640, 480), grid=(24, 24), jpeg=data
    )
    trace_io.add_stage(header, arrays, "my method", kept=[3, 17, 210])
    trace_io.write("run.safetensors", header, arrays)      # opens in tokviz

A trace is a safetensors file: arrays by name, and a JSON text under "header" in the metadata.
docs/trace_format.md lists both field by field. This file packs and unpacks, and in both directions
it refuses NaN, numbers of hundreds of digits, broken texts, and far too many values or arrays. The
values of the fields are checked by tokviz when it opens the trace. Part of tokviz, Apache-2.0.
"""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

FORMAT, VERSION = "tokviz-trace", 1
MAX_FILE_BYTES = 64 * 2**20
MAX_HEADER_CHARS = 4_000_000
MAX_VALUES = 400_000
"""Largest number of values in a header: lists, objects, texts and numbers."""
MAX_ARRAYS = 4_000
MAX_AXES = 8
MAX_DIGITS = 16
"""Largest number of digits of a whole number."""


class BadTrace(ValueError):
    """The file is not a trace, damaged, too large, or of another version; the text says which."""


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the file's bytes.

    Args:
        header: JSON-ready values by name, without `version`.
        arrays: by name.

    Raises:
        BadTrace: `unpack` would refuse it.
    """
    try:
        text = json.dumps({"version": VERSION, **header}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadTrace(f"the header cannot be written as JSON: {str(error)[:200]}.") from error
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    data = save(plain, {"header": text, "format": FORMAT})
    _header(data)
    return data


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file's bytes; everything is checked.

    Raises:
        BadTrace: the bytes are not a valid file; the text says why.
    """
    header = _header(data)
    try:
        return header, load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError,
            OverflowError, MemoryError) as error:  # fmt: skip
        raise BadTrace(f"the trace is damaged ({type(error).__name__}).") from error


def _header(data: bytes) -> dict[str, Any]:
    """Return the header of a file's bytes before any array is allocated; raise BadTrace."""
    if len(data) > MAX_FILE_BYTES:
        raise BadTrace(f"the trace is over {MAX_FILE_BYTES >> 20} MB.")
    if data.startswith(b"version https://git-lfs"):  # as in tokviz.git_lfs; this file is copied
        raise BadTrace("this is a pointer of git-lfs and not the file: run `git lfs pull`.")
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= MAX_HEADER_CHARS or length > len(data) - 8:
        raise BadTrace("this is not a tokviz trace: its header is missing or cut off.")
    outer = parse(data[8 : 8 + length])
    facts = outer.pop("__metadata__", {}) if isinstance(outer, dict) else {}
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise BadTrace("this is a safetensors file, but not a tokviz trace.")
    _check_shapes(outer)
    text = facts.get("header")
    if not isinstance(text, str):
        raise BadTrace("the trace is damaged: its header is no text.")
    header = parse(text)
    if not isinstance(header, dict):
        raise BadTrace("the trace is damaged: its header is no object.")
    found = header.get("version")
    if type(found) is not int or found != VERSION:
        raise BadTrace(
            f"this trace has version {str(found)[:20]}; this tokviz reads version {VERSION}."
        )
    return header


def _check_shapes(outer: Mapping[str, Any]) -> None:
    """Raise BadTrace for far too many arrays or axes, and for lengths larger than any file."""
    if len(outer) > MAX_ARRAYS:
        raise BadTrace(f"the trace has {len(outer):,} arrays; at most {MAX_ARRAYS:,} are allowed.")
    for facts in outer.values():
        shape = facts.get("shape") if isinstance(facts, dict) else None
        if not isinstance(shape, list) or len(shape) > MAX_AXES:
            raise BadTrace("the trace is damaged: an array has no shape.")
        if not all(type(side) is int and 0 <= side <= MAX_FILE_BYTES for side in shape):
            raise BadTrace("the trace is damaged: an array has a length that no file holds.")


# -- JSON that tokviz, browsers and numpy can all read ---------------------------------------------


def parse(text: str | bytes, most: int = MAX_VALUES) -> Any:
    """Return the value of a JSON text; everything is checked.

    Args:
        text: in UTF-8.
        most: largest number of values in it.

    Raises:
        BadTrace: not JSON, NaN or infinity, a number of over 16 digits, half a character (a lone
            surrogate), or too many values.
    """
    # Count values before parsing: an empty list of two characters takes 56 bytes in Python.
    plain = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if sum(map(plain.count, (b",", b"[", b"{"))) > most:
        raise BadTrace(f"the JSON text holds over {most:,} values.")
    try:
        value = json.loads(text, parse_constant=_no_number, parse_int=_whole, parse_float=_real)
    except BadTrace:
        raise
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise BadTrace(f"the JSON text is damaged ({type(error).__name__}).") from error
    _check_texts(value)
    return value


def _no_number(text: str) -> Any:
    raise BadTrace(f"the JSON text holds {text}, which is no number.")


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise BadTrace(f"the JSON text holds a whole number of over {MAX_DIGITS} digits.")
    return int(text)


def _real(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadTrace("the JSON text holds a number that is too large.")
    return number


def _check_texts(value: Any) -> None:
    """Raise BadTrace for a text that cannot be written in UTF-8: half a character."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += (*one, *one.values())
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and not one.isascii() and _is_broken(one):
            raise BadTrace("a text in the JSON text holds half a character (a lone surrogate).")


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def write(path: str | Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a trace; an existing file is replaced only when the new one is complete."""
    write_whole(Path(path), pack(header, arrays))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file's bytes to a temporary file beside the path, then rename it.

    A device or a pipe, such as /dev/null, cannot be replaced: it is written to.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    scratch = path.with_name(path.name + ".part")
    try:
        scratch.write_bytes(data)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file; raise BadTrace."""
    try:
        # A pipe or a device would block or never end.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise BadTrace("the trace cannot be read: it is not a regular file.")
        with Path(path).open("rb") as file:
            return unpack(file.read(MAX_FILE_BYTES + 1))
    except OSError as error:
        raise BadTrace(f"the trace cannot be read: {error.strerror}.") from error


# -- writing one from your own code ---------------------------------------------------------------


def start(
    *,
    prompt: str,
    answer: str,
    image_size: tuple[int, int],
    grid: tuple[int, int],
    jpeg: bytes | None = None,
    model: str = "unknown",
    box: Sequence[float] | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a run on one image whose visual tokens form a grid.

    Further arrays of the format (attention, probabilities) can be added to `arrays`.

    Args:
        prompt: the question.
        answer: the answer; its words are used as tokens.
        image_size: (width, height) in pixels.
        grid: (rows, columns) of visual tokens, row by row.
        jpeg: a preview of the image.
        model: its name.
        box: x0, y0, x1, y1, the part of the image that the tokens cover, in pixels; default all.
    """
    (width, height), (rows, cols) = image_size, grid
    words = prompt.split()
    header: dict[str, Any] = {
        "prompt": prompt,
        "answer": answer,
        "model": {"name": model},
        "prompt_tokens": ["<image>"] * (rows * cols) + words,
        "answer_tokens": re.findall(r"\s*\S+(?:\s+$)?", answer),
        "candidate_tokens": [],
        "words": {},
        "sizes": [[int(width), int(height)]],
        "tiles": [[0, rows, cols, [float(v) for v in box or (0, 0, width, height)], "whole"]],
        "stages": [],
        "timings": {},
        "word_marks": "word_level",
        "kv_bytes": 0,
        "kv_lengths": [],
        "notes": [],
    }
    row, col = np.divmod(np.arange(rows * cols), cols)
    arrays: dict[str, np.ndarray] = {
        "token_tile": np.zeros(rows * cols, np.int16),
        "token_row": row.astype(np.int16),
        "token_col": col.astype(np.int16),
        "token_kind": np.zeros(rows * cols, np.uint8),
        "token_position": np.arange(rows * cols, dtype=np.int32),
    }
    if jpeg:
        arrays["image.0"] = np.frombuffer(jpeg, np.uint8)
    return header, arrays


def add_stage(
    header: dict[str, Any],
    arrays: dict[str, np.ndarray],
    method: str,
    *,
    kept: Sequence[int] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    place: str = "before",
    layer: int | None = None,
    seconds: float = 0.0,
) -> None:
    """Add a stage of a method, which reduces the tokens left by earlier stages.

    Args:
        header: as `start` returned it; changed.
        arrays: as `start` returned them; changed.
        method: its name.
        kept: numbers of the tokens that are kept, counted among those left by earlier stages.
        groups: instead of `kept`: per new token the tokens of which it is the mean.
        place: tower, before (the language model) or language_model.
        layer: of the tower or the language model.
        seconds: duration of the decision.
    """
    if (kept is None) == (groups is None):
        raise ValueError("give either kept or groups.")
    number = len(header["stages"])
    alive = len(arrays[f"stage.{number - 1}.position"] if number else arrays["token_tile"])
    members = [[int(i)] for i in sorted(set(kept))] if kept is not None else [
        [int(i) for i in group] for group in groups or ()
    ]  # fmt: skip
    sizes = [len(group) for group in members]
    if not all(sizes):
        raise ValueError("a group has no member.")
    cols = np.array([i for group in members for i in group], np.int32)
    if cols.size and (cols.min() < 0 or cols.max() >= alive):
        raise ValueError(f"tokens must be numbered 0 to {alive - 1}.")
    header["stages"].append([method, place, layer, alive, seconds, "remove"])
    arrays[f"stage.{number}.rows"] = np.repeat(np.arange(len(members), dtype=np.int32), sizes)
    arrays[f"stage.{number}.cols"] = cols
    arrays[f"stage.{number}.weights"] = np.repeat(1 / np.array(sizes, np.float32), sizes)
    arrays[f"stage.{number}.position"] = np.array([g[0] for g in members], np.int32)
