"""JSON lines: one object per line; every error message has the line's number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tokviz.errors import InputError
from tokviz.git_lfs import HEAD, is_pointer, pointer_text
from tokviz.text.lines import lines_of
from tokviz.text.whole import json_text


def read_lines(path: str | Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file; empty lines are ignored.

    Raises:
        InputError: the file cannot be read, or a line is not a JSON object.
    """
    path = _file(path)
    try:
        if is_pointer(path.read_bytes()[: len(HEAD)]):
            raise InputError(f"{pointer_text(path.name)}.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read as UTF-8 text: {error}.") from error
    lines = enumerate(lines_of(text), 1)
    return [_parsed(path.name, number, line) for number, line in lines if line.strip()]


def write_lines(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, UTF-8, ending with a newline.

    Numbers and arrays of numpy and torch are written as numbers and lists.

    Raises:
        InputError: rows that are no mappings, a value that JSON does not have, or no such file.
    """
    path = _file(path)
    if isinstance(rows, (str, bytes, Mapping)) or not isinstance(rows, Iterable):
        raise InputError(f"rows must be a list of mappings, got a {type(rows).__name__}.")
    text = "".join(_line(number, row) for number, row in enumerate(rows, 1))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path.name} cannot be written: {error.strerror}.") from error


def _file(path: Any) -> Path:
    """Return a path; raise InputError for what is none."""
    if not isinstance(path, (str, Path)):
        raise InputError(f"a file must be given by its path, got a {type(path).__name__}.")
    return Path(path)


def _line(number: int, row: Any) -> str:
    """Return a row as one line; raise InputError with its number."""
    try:
        return json_text(dict(row)) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"row {number} cannot be written as JSON: {str(error)[:200]}.") from error


def _parsed(name: str, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{name}, line {number} is not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise InputError(f"{name}, line {number} must be a JSON object, got {line[:40]!r}.")
    return row
