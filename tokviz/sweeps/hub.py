"""Questions from a data set of the Hugging Face library `datasets`, local or on the Hub.

The library is optional. Pictures are written to a folder as files named by the hash of their
content, for all engines, the report and the lab. If the data set has the bytes of a picture, they
are written without decoding. A data set's own code is never run.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from tokviz.errors import InputError
from tokviz.sweeps.question import Question
from tokviz.sweeps.tables import COLUMNS, questions_of

PICTURES = "images"


def read_hub(
    spec: str,
    store: Path,
    prompts: Sequence[str] = (),
    kind: str | None = None,
    limit: int | None = None,
) -> list[Question]:
    """Read NAME or NAME:SPLIT; NAME is a Hub id, or a folder that `save_to_disk` wrote.

    Raises:
        InputError: the library is missing, no such data set or split, or no usable columns.
    """
    name, _, split = spec.partition(":")
    rows = open_dataset(name, split or "test")
    folder = store / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    written = (_on_disk(row, folder) for row in islice(rows, limit))
    return list(questions_of(written, f"{name}:{split or 'test'}", folder, prompts, kind, limit))


def open_dataset(name: str, split: str) -> Any:
    """Return a data set's split, pictures as bytes."""
    try:
        library = import_module("datasets")
    except ImportError as error:
        raise InputError(
            "hub: sources need the library `datasets`, which is not installed: "
            "pip install datasets."
        ) from error
    try:
        if Path(name).is_dir() and any(Path(name).glob("*.json")):
            found = library.load_from_disk(name)
            found = _part(found, split) if hasattr(found, "keys") else found
        else:
            found = library.load_dataset(name, split=split)
        for column, feature in (found.features or {}).items():
            if isinstance(feature, library.Image):
                found = found.cast_column(column, library.Image(decode=False))
        return found
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  the library raises whatever its back ends raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise InputError(
            f"the data set {name[:100]!r}, split {split[:40]!r}: {first.rstrip('.')}. Give a Hub "
            "id (with network) or a folder that its save_to_disk wrote, and a split that it has."
        ) from error


def _part(found: Mapping[str, Any], split: str) -> Any:
    if split not in found:
        known = ", ".join(map(str, found))[:200]
        raise InputError(f"there is no split {split[:40]!r} in that folder; it has: {known}.")
    return found[split]


def _on_disk(row: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """Return a row in which pictures are replaced by names of files in the folder."""
    found = dict(row)
    for key, value in row.items():
        if str(key).lower() in COLUMNS["image"]:
            many = value if isinstance(value, list) else [value]
            found[key] = [_put(picture, folder) for picture in many]
    return found


def _put(picture: Any, folder: Path) -> str:
    """Write one picture to a file named by its hash, unless it exists; return the file's name."""
    if isinstance(picture, Mapping):
        content = picture.get("bytes") or Path(str(picture.get("path"))).read_bytes()
    elif hasattr(picture, "save"):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        content = buffer.getvalue()
    else:
        raise InputError(f"an image column holds {type(picture).__name__}, not pictures.")
    path = folder / hashlib.sha256(content).hexdigest()[:32]
    if not path.exists():
        scratch = path.with_name(path.name + ".part")
        scratch.write_bytes(content)
        scratch.replace(path)
    return path.name
