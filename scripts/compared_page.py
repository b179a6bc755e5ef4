"""docs/compared.md: how often decisions here equal those of the official code."""

import csv
from pathlib import Path

from scripts.method_pages import code, table
from scripts.record_page import found
from tokviz.errors import InputError
from tokviz.mitigation import MITIGATIONS
from tokviz.reduction import METHODS

COMPARED = Path(__file__).parents[1] / "docs" / "compared.tsv"
HEAD = """# Compared with the official code

Written from `docs/compared.tsv` by `make docs`. The functions of the official repositories were run
on random inputs, outside this project, and their results held against those of the entries here.
*Equal* counts inputs for which the choice is the same; values are equal within rounding.
"""
OTHERS = """## Without a count

Official code is public, and no count of comparisons was noted: {}. Entries that are stand-ins, and
those whose publication has no code, are not named here.
"""


def comparisons():
    """Return the rows of the table; raise InputError for an unknown entry or an odd count."""
    with COMPARED.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in rows:
        found(row["name"])
        if not 0 <= int(row["equal"]) <= int(row["tried"]):
            raise InputError(f"docs/compared.tsv counts {row['equal']} of {row['tried']}.")
        if (row["equal"] != row["tried"]) != bool(row["why"]):
            raise InputError(
                f"docs/compared.tsv must say why {row['name']} differs, and only then."
            )
    return rows


def uncounted():
    """Return the entries with official code, no stand-ins, for which there is no count."""
    counted = {row["name"] for row in comparisons()}
    entries = [*METHODS.values(), *MITIGATIONS.values()]
    return sorted(
        {one.name for one in entries if one.code and one.verified and one.name not in counted}
    )


def page():
    """Return docs/compared.md."""
    rows = []
    for row in comparisons():
        entry, where = found(row["name"])[0]
        mark = "" if getattr(entry, "verified", True) else " (stand-in)"
        share = f"{row['equal']} of {row['tried']}"
        share = f"{share} ({row['why']})" if row["why"] else share
        rows.append([f"[`{row['name']}`]({where}#{row['name']}){mark}", share, row["what"]])
    parts = [HEAD, table(["Entry", "Equal", "What was compared"], rows)]
    parts.append(OTHERS.format(code(uncounted())))
    return "\n\n".join(part.strip() for part in parts) + "\n"
