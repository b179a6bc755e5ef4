"""docs/accuracy.md, written from the rows that `python -m benchmarks.methods` measured."""

import json
from pathlib import Path

from benchmarks.rows import BLIND, FULL, Row, read, wilson
from scripts.method_pages import NONE, table
from tokviz.catalog import marked
from tokviz.reduction.method import METHODS
from tokviz.view.run_names import published_policy

TITLE = "# How often is the answer still right?"
HEAD = """
Measured on the embedded model (5.6 M parameters, {full} visual tokens per picture), one question
per picture, so that every question is an independent trial: {scenes} held-out scenes (existence,
what, place, colour and count in turn) and {easyvqa} pictures of the easy-VQA test split. An
answer counts when it is exactly right. In brackets: 95 % Wilson interval. Each method decides on
the same pictures with its published defaults, and the answer is the engine's, on what is really
left.

```
python -m benchmarks.methods --scenes {scenes} --easyvqa {easyvqa}
```

measures it again: about an hour on one core, one line per row in
[accuracy.jsonl](accuracy.jsonl); it goes on where it was stopped. `make docs` writes this page
from those lines.

With intervals this wide, methods that are a few points apart are not told apart. A small model
that was trained on small pictures says little about LLaVA-1.5: published numbers stand in
[methods.md](methods.md) and are not comparable with these. At 100 % every method keeps every
token, except those that choose fewer by themselves (*adaptive*); those may also leave fewer than
the budget elsewhere. A dash: not measured yet, or not possible (the last section says why).
Methods inside the language model see all tokens in their first layers: the table of tokens shows
what each layer computes with, on average. `relevance` is an oracle, not a method: it has seen the
full answer, and its decision time counts that answer and the backward passes through it.

*Position ids*: kept = the tokens that are left keep the position ids that they had, renumbered =
numbered anew without gaps, averaged = the mean of the merged tokens' ids; each as published.
*Stand-in*: built from secondary sources. *Same W as*: both decided alike on every question and at
every budget that `python -m benchmarks.same_choice` tried; *same figures as*: every figure of
every budget is the same. Such rows are one piece of evidence about the choice, not two; where
their figures differ all the same, something else is done with the tokens that were chosen
(position ids, `unmerge`).
"""
SETS = {"scenes": "Held-out scenes", "easyvqa": "easy-VQA test split"}
SHARES = (100, 50, 25, 11, 5)
SAME = Path(__file__).parents[1] / "docs" / "same_choice.json"


def page() -> str:
    """Return docs/accuracy.md; without measurements it only says how to measure."""
    rows = {(row.method, row.share): row for row in read()}
    if (FULL, 100) not in rows:
        return f"{TITLE}\n\nNot measured yet: `python -m benchmarks.methods`.\n"
    full = rows[FULL, 100]
    head = HEAD.format(full=full.keep, scenes=full.scenes[1], easyvqa=full.easyvqa[1])
    parts = [TITLE, head]
    for which, title in SETS.items():
        parts += [f"## {title}", ends(rows, which), accuracy(rows, which)]
    parts += ["## Tokens and decision time", spent(rows), *failures(rows)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def ends(rows: dict[tuple[str, int], Row], which: str) -> str:
    """Return what is right with the whole picture and without it, between which methods stand."""
    blind = cell(rows.get((BLIND, 0)), which)
    without = "it has not been measured yet" if blind == NONE else f"it is {blind}"
    full = cell(rows[FULL, 100], which)
    return f"In per cent: with all tokens it is {full}; without the picture {without}."


def accuracy(rows: dict[tuple[str, int], Row], which: str) -> str:
    """Return the accuracy table of one set of questions, best at a quarter of the tokens first."""
    full = rows[FULL, 100]

    def at(name: str, share: int) -> Row | None:
        found = rows.get((name, share))
        return full if found is None and share == 100 else found

    def rank(name: str) -> tuple[float, str]:
        row = at(name, 25)
        right, asked = getattr(row, which) if row else (0, 0)
        return (-right / asked if asked else 1.0), name

    names = sorted({row.method for row in rows.values()} - {FULL, BLIND}, key=rank)
    lines = [
        [shown(name, rows), policy(name), *(cell(at(name, s), which) for s in SHARES)]
        for name in names
    ]
    return table(["Method", "Position ids", *(f"{share} %" for share in SHARES)], lines)


def shown(name: str, rows: dict[tuple[str, int], Row]) -> str:
    """Return a method's name with what a reader must know: a stand-in, the same W as another."""
    text = marked(name)
    for groups, what in ((same_choice(), "W"), (same_figures(rows), "figures")):
        others = [o for group in groups if name in group for o in group if o != name]
        others = [marked(other) for other in others if f"`{other}`" not in text]
        text += f", same {what} as {', '.join(others)}" if others else ""
    return text


def same_figures(rows: dict[tuple[str, int], Row]) -> list[list[str]]:
    """Return the groups of methods that agree in every figure of every budget below 100 %."""
    figures: dict[tuple, list[str]] = {}
    for name in sorted({method for method, _ in rows} - {FULL}):
        own = [rows.get((name, share)) for share in SHARES if share < 100]
        if all(row is not None and not row.error for row in own):
            key = tuple((r.scenes, r.easyvqa, r.left, r.per_layer) for r in own if r)
            figures.setdefault(key, []).append(name)
    return [names for names in figures.values() if len(names) > 1]


def policy(name: str) -> str:
    """Return which position ids the tokens that are left had when a row was measured."""
    return published_policy(name) or NONE


def same_choice() -> list[list[str]]:
    """Return the groups of methods that decided alike, from `python -m benchmarks.same_choice`."""
    return json.loads(SAME.read_text(encoding="utf-8"))["alike"] if SAME.exists() else []


def cell(row: Row | None, which: str) -> str:
    """Return accuracy and interval in per cent."""
    if row is None or not getattr(row, which)[1]:
        return NONE
    right, asked = getattr(row, which)
    low, high = wilson(right, asked)
    return f"{100 * right / asked:.1f} ({100 * low:.0f}–{100 * high:.0f})"


def spent(rows: dict[tuple[str, int], Row]) -> str:
    """Return what a quarter of the tokens meant for each method."""
    lines = [
        [shown(name, rows), METHODS[name].acts_at, f"{row.left:.1f}", f"{row.per_layer:.1f}",
         f"{row.decide_ms:.1f} ms"]
        for (name, share), row in sorted(rows.items())
        if share == 25 and not row.error and name in METHODS
    ]  # fmt: skip
    head = ["Method at 25 %", "Acts", "Left at the end", "Mean per layer", "Decision (median)"]
    return table(head, lines)


def failures(rows: dict[tuple[str, int], Row]) -> list[str]:
    """Return why some methods could not run at some budgets."""
    said: dict[str, dict[str, list[int]]] = {}
    for (name, share), row in rows.items():
        if row.error:
            said.setdefault(name, {}).setdefault(row.error, []).append(share)
    if not said:
        return []
    lines = [
        f"- {marked(name)} at {', '.join(f'{s} %' for s in shares)}: {error}"
        for name, errors in sorted(said.items())
        for error, shares in errors.items()
    ]
    why = (
        "The embedded model sees one picture in one crop, so methods that share a budget out among "
        "crops or frames have nothing to do."
    )
    return ["## What could not run", why, "\n".join(lines)]
