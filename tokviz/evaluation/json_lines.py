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
    path = Path(path)
    try:
        if is_pointer(path.read_bytes()[: len(HEAD)]):
            raise InputError(f"{pointer_text(path.name)}.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read as UTF-8 text: {error}.") from error
    lines = enumerate(lines_of(text), 1)
    return [_parsed(path.name, number, line) for number, line in lines if line.strip()]


def write_lines(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, UTF-8, ending with a newline."""
    text = "".join(json_text(dict(row)) + "\n" for row in rows)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{Path(path).name} cannot be written: {error.strerror}.") from error


def _parsed(name: str, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{name}, line {number} is not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise InputError(f"{name}, line {number} must be a JSON object, got {line[:40]!r}.")
    return row
