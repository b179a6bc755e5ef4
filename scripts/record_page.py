"""docs/record.md: every paper of the project's list, with what of it is here."""

import csv
from pathlib import Path

from scripts.method_pages import table
from tokviz.analysis import ANALYSES
from tokviz.errors import InputError
from tokviz.mitigation import MITIGATIONS
from tokviz.reduction import METHODS
from tokviz.reduction.run_status import declared_status

RECORD = Path(__file__).parents[1] / "docs" / "record.tsv"
KINDS = {
    "reduction": "Methods that reduce tokens",
    "mitigation": "Mitigations",
    "analysis": "Analyses",
    "promoted": "Further ideas",
    "trained": "Trained methods",
    "survey": "Surveys",
}
"""Kind of a paper -> heading of its table."""
TRAINED = (
    "A trained method cannot run on a model that was not trained for it. Where there is a nearest "
    "what-if, it is named: what the idea does to the tokens, on the model as it is. The decisions "
    "of any trained method can be [imported](imports.md) and shown; [trained methods](trained.md) "
    "says what each does and how to export it."
)
HEAD = """# The record

Written from `docs/record.tsv` by `make docs`: every paper that this project set out to show, with
what of it is here. The words for methods and mitigations are the best that a run can earn, see
[methods.md](methods.md); of an analysis it is said how exact its numbers are.
"""
PAGES = (
    (METHODS, "methods.md"),
    (ANALYSES, "analyses.md"),
    (MITIGATIONS, "mitigation_methods.md"),
)


def papers():
    """Return the rows of the record."""
    with RECORD.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def found(name):
    """Return the entries of this name with their pages; raise InputError if there is none."""
    entries = [(registry[name], page) for registry, page in PAGES if name in registry]
    if not entries:
        raise InputError(f"docs/record.tsv names {name!r}, which is no method or analysis.")
    return entries


def word(entry):
    """Return how close an entry is to its publication, or how exact its numbers are."""
    if hasattr(entry, "exactness"):
        return entry.exactness
    status = declared_status(entry)
    return status.word if status else "baseline"


def what(paper):
    """Return what is here of a paper."""
    names = paper["here"].split()
    parts = [
        f"[`{name}`]({page}#{name}), {word(entry)}" for name in names for entry, page in found(name)
    ]
    if paper["kind"] == "trained":
        text = f"nearest what-if: {'; '.join(parts)}" if parts else "import its decisions"
        return paper["note"] or text
    return "; ".join(parts) or paper["note"] or "not here"


def page():
    """Return docs/record.md."""
    rows = papers()
    shown = [paper for paper in rows if paper["here"]]
    parts = [HEAD, f"{len(rows)} papers; something of {len(shown)} of them is here."]
    for kind, title in KINDS.items():
        own = [[paper["title"], what(paper)] for paper in rows if paper["kind"] == kind]
        intro = [TRAINED] if kind == "trained" else []
        parts += [f"## {title}", *intro, table(["Paper", "Here"], own)]
    return "\n\n".join(part.strip() for part in parts) + "\n"
