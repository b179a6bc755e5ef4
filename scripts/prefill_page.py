"""docs/prefills.md, written from the rows that `python -m benchmarks.prefills` measured."""

import json
from pathlib import Path
from typing import Any

from scripts.method_pages import table
from tokviz.catalog import marked
from tokviz.reduction.method import METHODS
from tokviz.text.lines import lines_of

ROWS = Path(__file__).parents[1] / "docs" / "prefills.jsonl"
TITLE = "# What a prefill costs after each method"
HEAD = """
For every method that removes tokens: the measured prefill on what it leaves, against a plain
prefill of a prompt that was as short from the start. That is the limit, 1.00 ×; where a method
shortens the prompt on the way, the limit is that of the tokens it had left in each layer.

{n} visual tokens, {keep} to be left; {model}; median of {rounds} rounds in which the methods took
turns. Machine: {machine}.

```
python -m benchmarks.prefills
```

measures it again (three to ten minutes on one core), one line per row in
[prefills.jsonl](prefills.jsonl); `make docs` writes this page from those lines.

*By formula* is the arithmetic of the language model's prefill relative to all tokens, text rows
included. The decision is apart: it is the method's own overhead, and on a small model it can take
longer than what it saves. For `gemfilter` it is the first reading of the prompt; for `relevance`,
an oracle, a full answer and the backward passes through it. Seconds belong to this machine, ratios
carry over to others. A dash: measured later, in turn with all tokens on a busy machine, so only
the ratios are comparable. `dymu` goes through attention as if nothing were merged (`unmerge`).
"""


def page() -> str:
    """Return docs/prefills.md; without measurements it only says how to measure."""
    if not ROWS.exists():
        return f"{TITLE}\n\nNot measured yet: `python -m benchmarks.prefills`.\n"
    shared, *rows = map(json.loads, lines_of(ROWS.read_text(encoding="utf-8")))
    parts = [TITLE, HEAD.format(**shared), measured(rows), *refused(rows)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def measured(rows: list[dict[str, Any]]) -> str:
    """Return the table of what ran, by place."""
    head = ["Method", "Acts", "Left", "Prefill", "Of the limit", "Of all tokens", "By formula",
            "Decision"]  # fmt: skip
    ran = [row for row in rows if not row["error"] and row["method"] in METHODS]
    lines = [
        [
            marked(row["method"]),
            METHODS[row["method"]].acts_at,
            str(row["left"]),
            f"{ms:.1f} ms" if (ms := row["milliseconds"]) is not None else "–",
            f"{row['of_limit']:.2f} ×",
            f"{row['of_full']:.2f} ×",
            f"{row['formula']:.2f} ×",
            f"{row['decide_ms']:.1f} ms",
        ]
        for row in sorted(ran, key=lambda row: (METHODS[row["method"]].place, row["method"]))
    ]
    return table(head, lines)


def refused(rows: list[dict[str, Any]]) -> list[str]:
    """Return why some methods could not run."""
    lines = [f"- {marked(row['method'])}: {row['error']}" for row in rows if row["error"]]
    return ["## What could not run", "\n".join(lines)] if lines else []
