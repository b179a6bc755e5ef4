"""Questions from a table: CSV, JSON lines, or a folder of pictures with prompts for all of them.

Every value of a table is checked. Pictures are paths inside one folder; any path that leads out of
it (.., absolute paths, links, addresses) is refused before a model runs.
"""

from __future__ import annotations

import csv
import json
from ast import literal_eval
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tokviz.errors import InputError
from tokviz.evaluation.exact import PEOPLE
from tokviz.git_lfs import HEAD, is_pointer, pointer_text
from tokviz.sweeps.question import MAX_TEXT, Question

MAX_FILE_BYTES = 256 * 2**20
MAX_QUESTIONS = 1_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
FILMS = (".mp4", ".m4v", ".mov", ".webm")
COLUMNS = {
    "image": ("image", "images", "image_path", "file", "file_name", "filename"),
    "prompt": ("prompt", "question", "text", "query"),
    "truth": ("truth", "answer", "label", "gt_answer", "answers"),
    "kind": ("kind", "type"),
    "choices": ("choices", "options"),
    "name": ("name", "id", "question_id"),
}
"""Part of a question -> the column names that are tried for it, in order, in any letter case."""


def read_table(
    path: Path,
    images: Path | None,
    prompts: Sequence[str] = (),
    kind: str | None = None,
    limit: int | None = None,
) -> list[Question]:
    """Read a CSV, TSV or JSON-lines file.

    Args:
        path: the file.
        images: the folder that image paths are relative to; None = the file's own.
        prompts: asked about every picture when the table has no column of prompts.
        kind: how answers are judged if the table does not say.
        limit: largest number of rows.

    Raises:
        InputError: no such file, too large, bad columns, a row that cannot be used.
    """
    if size_of(path) > MAX_FILE_BYTES:
        raise InputError(f"{path.name!r} is over {MAX_FILE_BYTES >> 20} MB; split it.")
    with path.open("rb") as file:
        if is_pointer(file.read(len(HEAD))):
            raise InputError(f"{pointer_text(path.name)}.")
    rows = json_rows(path) if path.suffix in (".jsonl", ".json", ".ndjson") else csv_rows(path)
    return list(questions_of(rows, path.name, images or path.parent, prompts, kind, limit))


def size_of(path: Path) -> int:
    """Return a file's size, or raise InputError."""
    try:
        if not path.is_file():
            raise InputError(f"there is no file {str(path)[:200]!r}.")
        return path.stat().st_size
    except (OSError, ValueError) as error:
        raise InputError(f"the file {str(path)[:200]!r} cannot be read.") from error


def read_folder(folder: Path, prompts: Sequence[str], limit: int | None = None) -> list[Question]:
    """Return every prompt about every picture and film in a folder, by name."""
    if not prompts:
        raise InputError("a folder of pictures needs at least one --prompt.")
    known = (*SUFFIXES, *FILMS)
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in known and p.is_file())
    if not found:
        raise InputError(
            f"there are no pictures or films in {str(folder)[:200]!r} ({', '.join(known)})."
        )
    asked = [
        Question((str(path),), prompt, kind="open", name=path.name)
        for path in found
        for prompt in prompts
    ]
    return asked[:limit]


def csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a CSV or TSV file as text by column; raise InputError."""
    csv.field_size_limit(16 * MAX_TEXT)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            parted = delimiter(path, file.readline(16 * MAX_TEXT))
            file.seek(0)
            table = csv.DictReader(file, delimiter=parted)
            for row in table:
                if None in row:
                    raise InputError(
                        f"line {table.line_num} of {path.name!r} has more fields than columns; "
                        "put quotes around texts with commas."
                    )
                yield row
    except (csv.Error, ValueError) as error:
        raise InputError(
            f"{path.name!r} is not a CSV file in UTF-8: {error}. Save it as CSV with UTF-8."
        ) from error


def delimiter(path: Path, head: str) -> str:
    """Return the field separator: tab in .tsv; without a comma in the first line, a tab or ;."""
    if path.suffix == ".tsv":
        return "\t"
    return next((sign for sign in ",\t;" if sign in head), ",")


def json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a JSON-lines file, or of one JSON array; raise InputError."""
    number = 1
    try:
        with path.open(encoding="utf-8-sig") as file:
            if path.suffix == ".json" and file.read(1) == "[":
                file.seek(0)
                yield from _objects(json.loads(file.read().lstrip("\ufeff")), path)
                return
            file.seek(0)
            for number, line in enumerate(file, 1):
                if line.strip("\ufeff \t\r\n"):
                    yield from _objects([json.loads(line.lstrip("\ufeff"))], path, number)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path.name!r} must hold one JSON object per line, in UTF-8; line {number} does not "
            f"({type(error).__name__})."
        ) from error


def _objects(values: Iterable[Any], path: Path, line: int = 1) -> Iterator[Mapping[str, Any]]:
    for number, value in enumerate(values, line):
        if not isinstance(value, dict):
            raise InputError(f"entry {number} of {path.name!r} is not a JSON object.")
        yield value


def questions_of(
    rows: Iterable[Mapping[str, Any]],
    source: str,
    folder: Path,
    prompts: Sequence[str] = (),
    kind: str | None = None,
    limit: int | None = None,
) -> Iterator[Question]:
    """Turn rows into questions; raise InputError for the first that cannot be used."""
    home, count = folder_of_images(folder), 0
    for number, row in enumerate(rows, 1):
        parts = {part: _cell(row, names) for part, names in COLUMNS.items()}
        if parts["image"] is None:
            raise InputError(
                f"row {number} of {source!r} has no column for the image "
                f"({', '.join(COLUMNS['image'])}); it has: {_names(row)}."
            )
        asked = prompts if parts["prompt"] is None else [_text(parts["prompt"])]
        if not asked:
            raise InputError(
                f"row {number} of {source!r} has no question ({', '.join(COLUMNS['prompt'])}); "
                f"name the column so, or give --prompt. It has: {_names(row)}."
            )
        for prompt in asked:
            if count == limit:
                return
            count += 1
            if count > MAX_QUESTIONS:
                raise InputError(f"{source!r} has over {MAX_QUESTIONS:,} questions; give --limit.")
            place = f"{source} row {number}"
            with named(place):
                question = _question(parts, prompt, home, kind, place)
            yield question
    if not count:
        raise InputError(f"{source!r} holds no questions.")


def _question(
    parts: Mapping[str, Any], prompt: str, home: Path, kind: str | None, name: str
) -> Question:
    images = parts["image"] if isinstance(parts["image"], list) else [parts["image"]]
    paths = tuple(str(inside(home, _text(image))) for image in images)
    answers = _answers(parts["truth"])
    judged = _text(parts["kind"] or kind or ("exact" if answers else "open"))
    truth, accepted = _truth(answers, judged)
    label = _text(parts["name"])[:200] if parts["name"] not in (None, "") else name
    return Question(paths, prompt, truth, judged, _choices(parts["choices"]), accepted, label)


def folder_of_images(folder: Path) -> Path:
    """Return the folder's real path, or raise InputError."""
    with suppress(OSError, ValueError):
        if folder.is_dir():
            return folder.resolve()
    raise InputError(f"there is no folder {str(folder)[:200]!r} with the images.")


@contextmanager
def named(place: str) -> Iterator[None]:
    """Prefix the message of an InputError with its place, such as a row."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def inside(home: Path, name: str) -> Path:
    """Return the path of an image inside a folder.

    Raises:
        InputError: it is outside of the folder, or is not a file.
    """
    try:
        path = (home / name).resolve()
        if home not in path.parents:
            raise InputError(f"the image {name[:100]!r} lies outside the image folder.")
        if not path.is_file():
            raise InputError(f"there is no image {name[:100]!r} in the image folder.")
    except (OSError, ValueError) as error:
        raise InputError(f"the image path {name[:100]!r} cannot be used.") from error
    return path


def _cell(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    lower = {str(key).strip().lower(): value for key, value in row.items()}
    return next((lower[name] for name in names if lower.get(name) is not None), None)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (str, int, float)):
        raise InputError(f"a text is expected in the table, got {type(value).__name__}.")
    return str(value)


def _answers(value: Any) -> list[str]:
    """Return the right answers of a cell: one, or a list, also as text (JSON or Python).

    VQAv2 writes each of its ten answers as an object with the field `answer`.
    """
    if value in (None, "", []):
        return []
    if isinstance(value, str) and value.lstrip().startswith("[") and value.rstrip().endswith("]"):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            read = literal_eval(value) if "'" in value else json.loads(value)
            value = read if isinstance(read, list) and read else value
    values = value if isinstance(value, list) else [value]
    return [_text(v.get("answer") if isinstance(v, dict) else v) for v in values]


def _truth(answers: Sequence[str], kind: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the right answer as one text, and all accepted answers if there are several."""
    if not answers:
        return None, ()
    several = [text for text, _ in Counter(answers).most_common()]
    if len(several) == 1 and (kind != "exact" or len(answers) != PEOPLE):
        return several[0], ()
    if kind != "exact":
        return ", ".join(several), ()
    return " | ".join(several)[:MAX_TEXT], tuple(answers)


def _choices(value: Any) -> tuple[str, ...]:
    """Read a list, a JSON list as text, or texts between bars: red | green | blue."""
    if value in (None, "", []):
        return ()
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    elif isinstance(value, str):
        value = value.split("|")
    if not isinstance(value, list):
        raise InputError("choices must be a list, or texts between bars: red | green | blue.")
    return tuple(_text(v).strip() for v in value)


def _names(row: Mapping[str, Any]) -> str:
    return ", ".join(str(key)[:30] for key in list(row)[:12]) or "nothing"
