"""docs/record.md: every paper of the project's list, with what of it is here."""

import csv
from pathlib import Path

from scripts.method_pages import table
from scripts.trained_page import methods as trained_methods
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
    "what-if, it is named: the idea alone, on the model as it is. Decisions can be "
    "[imported](imports.md) and shown where tokens leave or are joined; "
    "[trained methods](trained.md) says what each does and how to write such a file."
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
        raise InputError(f"{name!r} in a list of docs is no method, analysis or mitigation.")
    return entries


def word(entry):
    """Return how close an entry is to its publication, or how exact its numbers are."""
    if hasattr(entry, "exactness"):
        return entry.exactness
    status = declared_status(entry)
    return status.word if status else "baseline"


def entries(names):
    """Return links to entries with their words."""
    return "; ".join(
        f"[`{name}`]({page}#{name}), {word(entry)}" for name in names for entry, page in found(name)
    )


def what(paper):
    """Return what is here of a paper."""
    if paper["kind"] == "trained":
        return of_trained(paper["title"])
    named = entries(paper["here"].split())
    text = "; ".join(part for part in (named, paper["note"]) if part)
    if not text:
        raise InputError(f"docs/record.tsv does not say what is here of {paper['title']!r}.")
    return text


def of_trained(title):
    """Return what is here of a trained method, from docs/trained.tsv."""
    row = next((row for row in trained_methods() if row["title"] == title), None)
    if row is None:
        raise InputError(f"docs/trained.tsv has no row for {title!r}.")
    parts = [row["does"]]
    if row["here"]:
        parts.append(f"nearest what-if: {entries([row['here']])}")
    if row["export"] != "none":
        parts.append("its decisions can be imported")
    return "; ".join(parts)


def summary(rows):
    """Return how many papers of each kind there are, and what is here of them."""
    own = [row for row in rows if row["kind"] in ("reduction", "mitigation", "analysis")]
    run = sum(bool(row["here"]) for row in own)
    trained = [of_trained(row["title"]) for row in rows if row["kind"] == "trained"]
    nearest = sum("nearest what-if" in text for text in trained)
    shown = sum("can be imported" in text for text in trained)
    return (
        f"{len(rows)} papers. Of the {len(own)} on methods, mitigations and analyses {run} have "
        f"an entry that runs. Of the {len(trained)} trained methods {nearest} have a nearest "
        f"what-if, and the decisions of {shown} can be imported; the others choose and "
        "join no tokens."
    )


def page():
    """Return docs/record.md."""
    rows = papers()
    parts = [HEAD, summary(rows)]
    for kind, title in KINDS.items():
        own = [[paper["title"], what(paper)] for paper in rows if paper["kind"] == kind]
        intro = [TRAINED] if kind == "trained" else []
        parts += [f"## {title}", *intro, table(["Paper", "Here"], own)]
    return "\n\n".join(part.strip() for part in parts) + "\n"
