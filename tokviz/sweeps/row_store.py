"""Storage of rows: append-only parts while a sweep runs, one Parquet file when it is done.

    OUT/parts/0001.jsonl   one row per line; each session writes a new part and never an old one
    OUT/rows.parquet       all rows of the last finished sweep, written whole or not at all
    OUT/report.html        the report page
    OUT/traces/            runs that the lab can open
    OUT/lock               locked by the process that writes here

A killed process leaves at most one incomplete line at the end of its part; it is ignored when the
parts are read, and its row is measured again. A row is on the disk (fsync) before the next unit of
work begins.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from tokviz.errors import InputError
from tokviz.extras import how_to_install
from tokviz.sweeps.rows import COLUMNS, Row

KINDS = {"text": "string", "integer": "int64", "real": "float64", "yes_no": "bool_"}
"""Column.kind -> Arrow type."""
LATER: dict[str, Any] = {"finish": "", "prefill_share": None, "more_images": "", "frames": ""}
"""Columns that results of earlier versions do not have; "" there."""


class Store:
    """The folder of one sweep."""

    def __init__(self, folder: Path) -> None:
        """Create the folder; raise InputError if it cannot be written."""
        self.folder, self.parts = folder, folder / "parts"
        with plain_words(folder):
            self.parts.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process; the system unlocks it when the process ends."""
        lock = FileLock(self.folder / "lock", blocking=False, preserve_lock_file=True)
        with plain_words(self.folder):
            try:
                acquired = lock.acquire()
            except Timeout as error:
                raise InputError(
                    f"another sweep is writing in {str(self.folder)[:200]!r}. Wait for it, or "
                    "give another folder with --out."
                ) from error
        with acquired:
            yield

    def read(self) -> dict[str, Row]:
        """Return key -> row of all parts; a later row replaces an earlier one."""
        rows: dict[str, Row] = {}
        for part in sorted(self.parts.glob("*.jsonl")):
            for row in whole_rows(part):
                rows[row["key"]] = row
        return rows

    @contextmanager
    def writing(self) -> Iterator[RowFile]:
        """Open a new part."""
        taken = [int(p.stem) for p in self.parts.glob("*.jsonl") if p.stem.isdigit()]
        path = self.parts / f"{max(taken, default=0) + 1:04}.jsonl"
        with plain_words(self.folder):
            file = path.open("xb", buffering=0)
        with file:
            yield RowFile(file)

    def write_result(self, rows: Iterable[Row]) -> Path:
        """Write all rows to rows.parquet, which is replaced only when the new file is complete.

        Raises:
            InputError: pyarrow is missing, or the disk is full; the parts stay as they are.
        """
        arrow, parquet = arrow_library()
        schema = arrow.schema([(n, getattr(arrow, KINDS[c.kind])()) for n, c in COLUMNS.items()])
        table = arrow.Table.from_pylist(list(rows), schema=schema)
        path = self.folder / "rows.parquet"
        with self.replacing(path) as file:
            parquet.write_table(table, file, compression="zstd")
        return path

    def write(self, name: str, data: bytes) -> Path:
        """Write a file; an existing file is replaced only when the new one is complete."""
        path = self.folder / name
        with plain_words(self.folder):
            path.parent.mkdir(exist_ok=True)
        with self.replacing(path) as file:
            file.write(data)
        return path

    @contextmanager
    def replacing(self, path: Path) -> Iterator[IO[bytes]]:
        """Yield a temporary file, which replaces the path when it is completely on the disk."""
        scratch = path.with_name(path.name + ".part")
        try:
            with plain_words(self.folder):
                with scratch.open("wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)


class RowFile:
    """A file that rows are added to."""

    def __init__(self, file: IO[bytes]) -> None:
        """Args: an unbuffered file, empty."""
        self.file, self.good = file, 0

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows; if the disk is full, remove the incomplete line and raise InputError."""
        data = b"".join(
            json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for row in rows
        )
        with plain_words(Path(self.file.name).parent):
            try:
                written = 0
                while written < len(data):
                    written += self.file.write(data[written:]) or 0
                os.fsync(self.file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    self.file.truncate(self.good)
                raise
        self.good += len(data)


def whole_rows(part: Path) -> Iterator[Row]:
    """Yield the complete rows of a part; the last line of a killed process may be incomplete."""
    with plain_words(part), part.open("rb") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                if not line.endswith(b"\n") or not isinstance(row, dict):
                    continue
                if row.keys() | LATER.keys() == COLUMNS.keys():
                    yield LATER | row


def read_result(path: Path) -> list[Row]:
    """Read a rows.parquet back; raise InputError when it is no such file."""
    arrow, parquet = arrow_library()
    try:
        table = parquet.read_table(path)
    except (OSError, arrow.ArrowException) as error:
        raise InputError(f"{str(path)[:200]!r} is not a result of a sweep.") from error
    if set(table.column_names) | set(LATER) != set(COLUMNS):
        raise InputError(f"{str(path)[:200]!r} does not have the columns of a sweep.")
    return [LATER | row for row in table.to_pylist()]


def arrow_library() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module; raise InputError if it is not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise InputError(
            "results are written with pyarrow, which is not installed: "
            f"{how_to_install('sweep')}. Rows measured so far are kept."
        ) from error


@contextmanager
def plain_words(place: Path) -> Iterator[None]:
    """Turn errors of the operating system about a folder into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{str(place)[:200]!r} cannot be written or read: {error.strerror}. What was saved is "
            "whole; the same command goes on from there."
        ) from error
