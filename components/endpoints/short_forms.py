"""The short forms of what the endpoints return: under 4 kB, for programs that pay by the word.

A language model that calls a tool reads all of the tool's answer. The whole lists of methods have
90 kB and a whole record of a run has a line for each visual token, so these come on request only
(`details`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

MAX_BYTES = 4000
"""Most bytes of JSON of a short form."""
MAX_ANSWER = 1000
MAX_NOTE = 160
MAX_NOTES = 3
"""Characters of an answer and of a note, and notes, of each of the two records of a run."""
COUNTS = ("total", "left", "merged", "pruned")


def short_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a list with their names and, as far as there is room, where they act.

    A method or mitigation that stands in for the published one says so (`stand_in`).
    """
    marks = [{} if row.get("verified", True) else {"stand_in": True} for row in rows]

    def with_keys(*keys: str) -> list[dict[str, Any]]:
        named = [{key: row[key] for key in keys if key in row} for row in rows]
        return [one | mark for one, mark in zip(named, marks, strict=True)]

    placed = with_keys("name", "place")
    return placed if size(placed) <= MAX_BYTES else with_keys("name")


def short_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what most readers of a record want: the answer, and what it cost.

    Args:
        record: a record of docs/cli.md, or {"error": sentence}, which stays as it is.
    """
    if "error" in record:
        return dict(record)
    counts, seconds = record["visual_tokens"], record["seconds"]
    return {
        "model": record["model"],
        "answer": cut(record["answer"], MAX_ANSWER),
        "finish": record["finish"],
        "visual_tokens": {name: counts[name] for name in COUNTS if name in counts},
        "seconds": {name: seconds[name] for name in ("first_token", "total")},
        "kv_bytes": record["kv_bytes"],
        "status": [{"name": one["name"], "word": one["word"]} for one in record["status"]],
        "notes": [cut(note, MAX_NOTE) for note in record["notes"][:MAX_NOTES]],
    }


def short_answer(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the records of a run, each in its short form, together at most MAX_BYTES long."""
    short = {name: short_record(record) for name, record in records.items()}
    most = MAX_ANSWER
    while size(short) > MAX_BYTES and most > 1:  # letters of other scripts have up to 4 bytes
        most //= 2
        for record in short.values():
            if "answer" in record:
                record["answer"] = cut(record["answer"], most)
                record["notes"] = [cut(note, most) for note in record["notes"]]
    return short


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters; one that was cut ends in an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def size(value: Any) -> int:
    """Return the bytes of a value as JSON."""
    return len(json.dumps(value, ensure_ascii=False).encode())
