"""docs/families.md, written from the rows of `python -m scripts.family_matrix`."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import tokviz
from scripts.method_pages import table
from tokviz.catalog import marked
from tokviz.text.lines import lines_of

DOCS = Path(__file__).parents[1] / "docs"
ROWS, REAL = DOCS / "families.jsonl", DOCS / "real_weights.jsonl"
KINDS = {"method": "Methods", "analysis": "Analyses", "mitigation": "Mitigations"}
KEEP, RAN = 16, "✓"
HEAD = """# What runs on which family

Every reduction method, analysis and mitigation was tried on a tiny model of every family: the
real transformers classes built from a config, with random weights, one photograph, {keep} visual
tokens left, defaults otherwise. ✓: it ran. A number: it was refused, and the note below the tables
says in which words. Whether an answer is any good is another question ([accuracy.md](accuracy.md)).

```
python -m scripts.family_matrix
```

tries everything again (18 minutes on a core shared with other work) and writes one line per
attempt to [families.jsonl](families.jsonl); `make docs` writes this page from those lines."""
REAL_HEAD = """The tables above are of tiny models with random weights. The makers of tokviz have
no published weights to run. Whoever has them tries the promises of a family (the answer is that of
`generate()` to the bit, removing equals masking, boxes are where tokens look) on a checkpoint by

```
python -m tokviz check-model --model OWNER/NAME --json > result.json
```

and sends the file in by the form *Result on real weights*; it becomes a line of
`docs/real_weights.jsonl` with the sender's name."""
NOTES = """One example each; other methods and families are refused in the same words, with
their own names and numbers."""


@dataclass(frozen=True)
class Attempt:
    """One thing tried on one family."""

    kind: str
    "A key of KINDS."
    name: str
    family: str
    refusal: str = ""
    "Empty where it ran."


def read() -> list[Attempt]:
    """Return what was tried, in the order of the file."""
    if not ROWS.exists():
        return []
    return [Attempt(**json.loads(line)) for line in lines_of(ROWS.read_text(encoding="utf-8"))]


def page() -> str:
    """Return docs/families.md from the rows."""
    rows = read()
    if not rows:
        return "# What runs on which family\n\nNot tried yet: `python -m scripts.family_matrix`.\n"
    notes: dict[str, tuple[int, str]] = {}
    parts = [HEAD.format(keep=KEEP)]
    for kind, title in KINDS.items():
        of_kind = [row for row in rows if row.kind == kind]
        ran = sum(not row.refusal for row in of_kind)
        parts += [f"## {title}", f"{ran} of {len(of_kind)} ran.", grid(of_kind, notes)]
    said = "\n".join(f"{number}. {words}" for number, words in notes.values())
    parts += ["## The words of a refusal", NOTES, said, "## Run on real weights", REAL_HEAD]
    parts += [real_weights()]
    return "\n\n".join(parts) + "\n"


def real_weights() -> str:
    """Return the table of results that were sent in, or the sentence that there is none."""
    if not REAL.exists():
        return "No result has been sent in so far."
    found = [json.loads(line) for line in lines_of(REAL.read_text(encoding="utf-8"))]
    lines = [
        [
            f"{one['model']} {one['revision']}".strip(), f"{one['dtype']}, {one['device']}",
            f"{len(one['promises']) - one['broken']} of {len(one['promises'])}",
            f"{one['tokviz']}, transformers {one['transformers']}", one["by"], one["date"],
        ]
        for one in found
    ]  # fmt: skip
    heads = ["model", "run in", "promises kept", "versions", "by", "on"]
    return table(heads, lines)


def grid(rows: list[Attempt], notes: dict[str, tuple[int, str]]) -> str:
    """Return a table of names by families; refusals become numbers of `notes`, which grow."""
    families = sorted({row.family for row in rows})
    by_name: dict[str, dict[str, str]] = {}
    for row in rows:
        if row.refusal:
            notes.setdefault(alike(row), (len(notes) + 1, row.refusal))
        cell = str(notes[alike(row)][0]) if row.refusal else RAN
        by_name.setdefault(row.name, {})[row.family] = cell
    lines = [
        [marked(name), *(cells.get(f, "") for f in families)] for name, cells in by_name.items()
    ]
    return table(["name", *families], lines)


def alike(row: Attempt) -> str:
    """Return the refusal without names and numbers: those that agree share a note."""
    words = row.refusal
    registered = {"method": tokviz.METHODS, "analysis": tokviz.ANALYSES}
    entry = registered.get(row.kind, tokviz.MITIGATIONS)[row.name]
    titles = [family.title for family in tokviz.FAMILIES.values()]
    for name in sorted([entry.title, f"'{row.name}'", *titles], key=len, reverse=True):
        words = words.replace(name, "_")
    return re.sub(r"\d+", "#", words)
