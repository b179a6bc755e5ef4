"""Sources of questions: a folder, a table, POPE files, easy-VQA, Hugging Face datasets.

photos/                   every picture in a folder, with the given prompts
questions.csv             a table (.csv, .tsv, .jsonl, .json), images relative to a folder
pope:coco_pope_random.json   the files of POPE (arXiv 2305.10355), a yes/no question per line
easy-vqa:test             the Python package easy-vqa, split train or test
hub:NAME[:SPLIT]          a data set of the Hugging Face library `datasets`, local or on the Hub
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from importlib.resources import files
from pathlib import Path

from tokviz.errors import InputError
from tokviz.evaluation import pope
from tokviz.sweeps.hub import read_hub
from tokviz.sweeps.question import Question
from tokviz.sweeps.tables import (
    MAX_FILE_BYTES,
    folder_of_images,
    inside,
    named,
    read_folder,
    read_table,
    size_of,
)

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")


def read_questions(
    source: str | Path,
    *,
    images: str | Path | None = None,
    prompts: Sequence[str] = (),
    kind: str | None = None,
    limit: int | None = None,
    store: Path | None = None,
) -> list[Question]:
    """Read the questions of a sweep.

    Args:
        source: one of the forms above.
        images: the folder of the images; default the table's own.
        prompts: asked about every picture of a source without questions of its own.
        kind: how answers are judged if the source does not say; one of `question.KINDS`.
        limit: read only the first so many questions.
        store: a folder for pictures that have no file.

    Raises:
        InputError: a source that cannot be used; the message says which part.
    """
    if limit is not None and limit < 1:
        raise InputError(f"the limit must be at least 1 question, got {limit}.")
    text, folder = str(source), None if images is None else Path(images)
    scheme, _, rest = text.partition(":")
    if scheme == "pope" and rest:
        return read_pope(Path(rest), folder, limit)
    if scheme == "easy-vqa":
        return read_easy_vqa(rest or "test", limit)
    if scheme == "hub" and rest:
        if store is None:
            raise InputError("a data set needs a folder for its pictures.")
        return read_hub(rest, store, prompts, kind, limit)
    path = Path(text)
    if path.is_dir():
        return read_folder(path, prompts, limit)
    if path.suffix.lower() not in TABLES:
        raise InputError(
            f"the source {text[:100]!r} is no folder and no table ({', '.join(TABLES)}), and "
            "does not begin with pope:, easy-vqa: or hub:."
        )
    return read_table(path, folder, prompts, kind, limit)


def read_pope(path: Path, images: Path | None, limit: int | None = None) -> list[Question]:
    """Read a POPE file: one JSON object per line with `image`, `text` and `label`."""
    if size_of(path) > MAX_FILE_BYTES:
        raise InputError(f"{path.name!r} is over {MAX_FILE_BYTES >> 20} MB; split it.")
    home = folder_of_images(images or path.parent)
    found = []
    for q in pope.read_questions(path)[:limit]:
        name = f"{path.name} {q.question_id}"[:200]
        with named(name):
            image = str(inside(home, q.image))
            found.append(Question((image,), q.text, q.label, "yes_no", name=name))
    return found


def read_easy_vqa(split: str = "test", limit: int | None = None) -> list[Question]:
    """Read easy-VQA (Victor Zhou, MIT licence): drawn shapes, one-word answers."""
    if split not in ("train", "test"):
        raise InputError(f"easy-vqa has the splits train and test, not {split[:40]!r}.")
    try:
        data = files(import_module("easy_vqa")) / "data" / split
    except ImportError as error:
        raise InputError("easy-VQA is not installed here: pip install easy-vqa.") from error
    rows = json.loads((data / "questions.json").read_text("utf-8"))[:limit]
    return [
        Question((str(data / "images" / f"{int(number)}.png"),), text, answer, "exact",
                 name=f"easy-vqa {split} {i}")
        for i, (text, answer, number) in enumerate(rows)
    ]  # fmt: skip
