"""Reading and writing trace files. One file, numpy and safetensors only: copy it into your code.

    import trace_io
    header, arrays = trace_io.start(
        prompt="is there a dog ?", answer="yes", image_size=(640, 480), grid=(24, 24), jpeg=data
    )
    trace_io.add_stage(header, arrays, "my method", kept=[3, 17, 210])
    trace_io.write("run.safetensors", header, arrays)      # opens in tokviz

A trace is a safetensors file: arrays by name, and a JSON text under "header" in the metadata.
docs/trace_format.md lists both field by field. This file packs and unpacks; what the fields must
hold is checked by tokviz when it opens the trace. Part of tokviz, Apache-2.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

FORMAT, VERSION = "tokviz-trace", 1
MAX_FILE_BYTES = 64 * 2**20
MAX_HEADER_CHARS = 4_000_000


class BadTrace(ValueError):
    """A file that is no trace, damaged, too large, or of another version; the text says which."""


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the file's bytes.

    Args:
        header: JSON-ready values by name, without `version`.
        arrays: by name.
    """
    text = json.dumps({"version": VERSION, **header})
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(plain, {"header": text, "format": FORMAT})


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file's bytes, trusting nothing in it.

    Raises:
        BadTrace: whatever is wrong with it.
    """
    if len(data) > MAX_FILE_BYTES:
        raise BadTrace(f"the trace is over {MAX_FILE_BYTES >> 20} MB.")
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= MAX_HEADER_CHARS or length > len(data) - 8:
        raise BadTrace("this is not a tokviz trace: its header is missing or cut off.")
    try:
        outer = json.loads(data[8 : 8 + length])
        facts = outer.get("__metadata__", {})
        if facts.get("format") != FORMAT:
            raise BadTrace("this is a safetensors file, but not a tokviz trace.")
        header = json.loads(facts["header"])
        if header.get("version") != VERSION:
            raise BadTrace(
                f"this trace has version {str(header.get('version'))[:20]}; "
                f"this tokviz reads version {VERSION}."
            )
        return header, load(data)
    except BadTrace:
        raise
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError,
            OverflowError, MemoryError) as error:  # fmt: skip
        raise BadTrace(f"the trace is damaged ({type(error).__name__}).") from error


def write(path: str | Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a trace; a half-written file never takes its place."""
    write_whole(Path(path), pack(header, arrays))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file's bytes beside the path, then put them in its place."""
    scratch = path.with_name(path.name + ".part")
    try:
        scratch.write_bytes(data)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file; raise BadTrace."""
    try:
        if Path(path).stat().st_size > MAX_FILE_BYTES:
            raise BadTrace(f"the trace is over {MAX_FILE_BYTES >> 20} MB.")
        return unpack(Path(path).read_bytes())
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

    Further arrays of the format (attention, probabilities) can be put into `arrays`.

    Args:
        prompt: the question.
        answer: what was answered; its words stand for tokens.
        image_size: (width, height) in pixels.
        grid: (rows, columns) of visual tokens, row by row.
        jpeg: a preview of the image.
        model: its name.
        box: x0, y0, x1, y1 in pixels of what the tokens see; default the whole image.
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
    """Add what a method did to the tokens that the stage before it left.

    Args:
        header: as `start` returned it; changed.
        arrays: as `start` returned them; changed.
        method: its name.
        kept: numbers of the tokens that stay, out of those that were left.
        groups: instead of `kept`: per new token the tokens that it is the mean of.
        place: tower, before (the language model) or language_model.
        layer: of the tower or the language model.
        seconds: what the decision took.
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
