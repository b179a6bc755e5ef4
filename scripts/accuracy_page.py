"""docs/accuracy.md, written from the rows that `python -m benchmarks.methods` measured."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.rows import BLIND, FULL, Row, Rows, Sample, Z, read, sample_of, wilson
from scripts.method_pages import NONE, table
from tokviz.catalog import marked
from tokviz.examine.diagnosis import FIGURES
from tokviz.reduction.method import METHODS
from tokviz.view.run_names import published_policy

TITLE = "# How often is the answer still right?"
HEAD = """
Measured on {model}, one question per picture, so that every question is an independent trial:
{scenes} held-out scenes (existence, what, place, colour and count in turn) and {easyvqa} pictures
of the easy-VQA test split. An answer counts when it is exactly right. In brackets: 95 % Wilson
interval. Each method decides on the same pictures with its published defaults, and the answer is
the engine's, on what is really left.

```
python -m benchmarks.methods --scenes {scenes} --easyvqa {easyvqa}
```

measures it again, one line per row in [accuracy.jsonl](accuracy.jsonl), the budgets 25 and 11 %
first; it goes on where it was stopped, and refuses rows of another model. `make docs` writes this
page from those lines.

With intervals this wide, methods that are a few points apart are not told apart. A small model
that was trained on small pictures says little about LLaVA-1.5: published numbers stand in
[methods.md](methods.md) and are not comparable with these. At 100 % every method keeps every
token, except those that choose fewer by themselves (*adaptive*); those may also leave fewer than
the budget elsewhere. A dash: not measured yet, or not possible (the last section says why).
Methods inside the language model see all tokens in their first layers: the table of tokens shows
what each layer computes with, on average. `relevance` is an oracle, not a method: it has seen the
full answer, and its decision time counts that answer and the backward passes through it.

*Kept*: the tokens that are left keep the position ids that they had (for `average_pool` the mean of
the merged tokens' ids); *renumbered*: numbered anew without gaps. What a method leaves before the
language model is answered under both, the same tokens with other ids; **bold** is what the method
publishes. Methods inside the language model, masks and methods of the cache are measured as they
are published only. Rows are in the order of 25 %, kept ids where they were measured.

*Stand-in*: built from secondary sources. Methods that decided the very same on every picture and at
every budget share a row. *Same W as*: the decisions are the same, and something else is done with
the tokens (`unmerge`), or the methods were compared by `python -m benchmarks.same_choice` only;
*same figures as*: every figure of every budget is the same. Such rows are one piece of evidence
about the choice, not two.
"""
EARLIER = """
**These rows are of an earlier model.** The one that ships now has not been measured here yet: it is
{now}.
"""
SETS = {"scenes": "Held-out scenes", "easyvqa": "easy-VQA test split"}
SHARES = (100, 50, 25, 11, 5)
COLUMNS = {"kept": ("keep", "mean"), "renumbered": ("repack",)}
"""Column of a budget -> the position policies that stand in it."""
SAME = Path(__file__).parents[1] / "docs" / "same_choice.json"


def page() -> str:
    """Return docs/accuracy.md; without measurements it only says how to measure."""
    rows = {(row.method, row.share, row.positions): row for row in read()}
    sample = sample_of()
    if sample is None or (FULL, 100, "") not in rows:
        return f"{TITLE}\n\nNot measured yet: `python -m benchmarks.methods`.\n"
    parts = [TITLE, head(sample)]
    for which, title in SETS.items():
        parts += [f"## {title}", ends(rows, which), accuracy(rows, which)]
    parts += [*policies(rows), "## Tokens and decision time", spent(rows), *failures(rows)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def head(sample: Sample) -> str:
    """Return the text before the tables; it says when the rows are not of the shipped model."""
    text = HEAD.format(model=sample.model, scenes=sample.scenes, easyvqa=sample.easyvqa)
    shipped = json.loads(FIGURES.read_text(encoding="utf-8"))["model"]
    return text if shipped == str(sample.model) else EARLIER.format(now=shipped) + text


def ends(rows: Rows, which: str) -> str:
    """Return what is right with the whole picture and without it, between which methods stand."""
    blind = cell(rows.get((BLIND, 0, "")), which)
    without = "it has not been measured yet" if blind == NONE else f"it is {blind}"
    full = cell(rows[FULL, 100, ""], which)
    return f"In per cent: with all tokens it is {full}; without the picture {without}."


def accuracy(rows: Rows, which: str) -> str:
    """Return the accuracy table of one set of questions, best at a quarter of the tokens first."""

    def rank(names: Sequence[str]) -> tuple[float, str]:
        there = [at(rows, names[0], 25, column) for column in COLUMNS]
        right, asked = next((getattr(row, which) for row in there if row), (0, 0))
        return (-right / asked if asked else 1.0), names[0]

    alike = groups_of(rows)
    lines = [
        [shown(names, alike), policy(names), *cells(rows, names, which)]
        for names in sorted(lines_of(rows), key=rank)
    ]
    budgets = [f"{share} %, {column}" for share in SHARES for column in COLUMNS]
    return table(["Method", "Published ids", *budgets], lines)


def at(rows: Rows, name: str, share: int, column: str) -> Row | None:
    """Return the row of a method in one column of a budget; all tokens where it keeps them all."""
    found = next((rows[k] for p in COLUMNS[column] if (k := (name, share, p)) in rows), None)
    if found is not None or share < 100:
        return found
    own = {p for method, _, p in rows if method == name}
    return rows[FULL, 100, ""] if own & {*COLUMNS[column]} else None


def cells(rows: Rows, names: Sequence[str], which: str) -> list[str]:
    """Return the figures of a line; what one of its methods publishes is bold."""
    published = {positions(name) for name in names}
    found = []
    for share in SHARES:
        for column, theirs in COLUMNS.items():
            text = cell(at(rows, names[0], share, column), which)
            bold = text != NONE and published & {*theirs}
            found.append(f"**{text}**" if bold else text)
    return found


def lines_of(rows: Rows) -> list[list[str]]:
    """Return the methods of each line: those whose rows are one piece of evidence stand together.

    Their decisions and all their figures are the same, at every budget and under both policies.
    """
    alike: dict[object, list[str]] = {}
    for name in sorted({row.method for row in rows.values()} - {FULL, BLIND}):
        own = sorted((key, row) for key, row in rows.items() if key[0] == name and key[1] < 100)
        told = all(row.choice and not row.error for _, row in own) and own
        same = [(key[1:], r.choice, r.scenes, r.easyvqa, r.per_layer) for key, r in own]
        alike.setdefault(repr(same) if told else name, []).append(name)
    return list(alike.values())


def groups_of(rows: Rows) -> dict[str, list[list[str]]]:
    """Return what methods have in common -> the groups of methods that have it in common."""
    return {"W": same_choice(rows), "figures": same_figures(rows)}


def shown(names: Sequence[str], alike: dict[str, list[list[str]]]) -> str:
    """Return a line's methods with what a reader must know: a stand-in, the same W as another."""
    text = ", ".join(map(marked, names))
    for what, groups in alike.items():
        others = [o for group in groups if names[0] in group for o in group if o not in names]
        others = [marked(other) for other in others if f"`{other}`" not in text]
        text += f", same {what} as {', '.join(others)}" if others else ""
    return text


def same_figures(rows: Rows) -> list[list[str]]:
    """Return the groups of methods that agree in every figure of every budget below 100 %."""
    figures: dict[tuple, list[str]] = {}
    in_order = sorted(rows.items())
    for name in sorted({method for method, *_ in rows} - {FULL, BLIND}):
        own = [(key[1:], row) for key, row in in_order if key[0] == name and key[1] < 100]
        if {share for (share, _), _ in own} == {*SHARES} - {100} and not any(
            r.error for _, r in own
        ):
            told = tuple((key, r.scenes, r.easyvqa, r.left, r.per_layer) for key, r in own)
            figures.setdefault(told, []).append(name)
    return [names for names in figures.values() if len(names) > 1]


def positions(name: str) -> str:
    """Return the published position policy of a method: keep, repack or mean."""
    entry = METHODS[name]
    return entry.positions if entry.removes else "keep"


def policy(names: Sequence[str]) -> str:
    """Return in words what the methods of a line publish about position ids."""
    words: dict[str, list[str]] = {}
    for name in names:
        words.setdefault(published_policy(name) or NONE, []).append(name)
    first, *others = words
    return "; ".join([first, *(f"{o} for `{'`, `'.join(words[o])}`" for o in others)])


def same_choice(rows: Rows) -> list[list[str]]:
    """Return the groups of methods that decided alike: in these rows, or where they do not tell,
    as `python -m benchmarks.same_choice` found."""
    choices: dict[tuple, list[str]] = {}
    for name in sorted({row.method for row in rows.values() if row.choice} - {FULL, BLIND}):
        own = {(row.share, row.choice) for row in rows.values() if row.method == name}
        choices.setdefault(tuple(sorted(one for one in own if one[0] < 100)), []).append(name)
    if choices:
        return [names for names in choices.values() if len(names) > 1]
    return json.loads(SAME.read_text(encoding="utf-8"))["alike"] if SAME.exists() else []


def cell(row: Row | None, which: str) -> str:
    """Return accuracy and interval in per cent."""
    if row is None or not getattr(row, which)[1]:
        return NONE
    right, asked = getattr(row, which)
    low, high = wilson(right, asked)
    return f"{100 * right / asked:.1f} ({100 * low:.0f}–{100 * high:.0f})"


def policies(rows: Rows) -> list[str]:
    """Return what the position policy alone changes: the same tokens, answered under both."""
    lines = []
    for share in SHARES[1:]:
        pairs = {
            names[0]: (kept.marks, packed.marks)
            for names in lines_of(rows)
            if (kept := at(rows, names[0], share, "kept"))
            and (packed := at(rows, names[0], share, "renumbered"))
            and kept.marks
        }
        if pairs:
            lines.append(difference(share, pairs))
    if not lines:
        return []
    why = (
        "Methods that were measured under both policies, one for each choice. The difference is "
        "kept less renumbered in points, over all questions of both sets, with a 95 % interval "
        "over the questions; the last two columns are single methods."
    )
    titles = ["Budget", "Methods", "Kept", "Renumbered", "Difference", "Least", "Most"]
    return ["## What the position policy changes", why, table(titles, lines)]


def difference(share: int, pairs: dict[str, tuple[str, str]]) -> list[str]:
    """Return one line: marks of each question under both policies, averaged over the methods."""
    marks = np.array([[list(map(int, text)) for text in both] for both in pairs.values()])
    kept, packed = 100 * marks.mean(0)  # [2, questions] -> per question, mean over methods
    half = Z * float((kept - packed).std(ddof=1)) / math.sqrt(kept.size) if kept.size > 1 else 0.0
    mean = float((kept - packed).mean())
    each = {
        name: 100 * float(m[0].mean() - m[1].mean()) for name, m in zip(pairs, marks, strict=True)
    }
    least, most = min(each, key=each.__getitem__), max(each, key=each.__getitem__)
    return [
        f"{share} %",
        str(len(pairs)),
        f"{kept.mean():.1f}",
        f"{packed.mean():.1f}",
        f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})",
        *(f"{each[name]:+.1f} ({marked(name)})" for name in (least, most)),
    ]


def spent(rows: Rows) -> str:
    """Return what a quarter of the tokens meant for each method."""
    lines, alike = [], groups_of(rows)
    for names in lines_of(rows):
        there = (at(rows, names[0], 25, column) for column in COLUMNS)
        row = next((one for one in there if one and not one.error), None)
        if row is not None:
            left = [f"{row.left:.1f}", f"{row.per_layer:.1f}", f"{row.decide_ms:.1f} ms"]
            lines.append([shown(names, alike), METHODS[names[0]].acts_at, *left])
    titles = ["Method at 25 %", "Acts", "Left at the end", "Mean per layer", "Decision (median)"]
    return table(titles, lines)


def failures(rows: Rows) -> list[str]:
    """Return why some methods could not run at some budgets."""
    said: dict[str, dict[str, set[int]]] = {}
    for (name, share, _), row in rows.items():
        if row.error:
            said.setdefault(name, {}).setdefault(row.error, set()).add(share)
    if not said:
        return []
    lines = [
        f"- {marked(name)} at {', '.join(f'{s} %' for s in sorted(shares, reverse=True))}: {error}"
        for name, errors in sorted(said.items())
        for error, shares in errors.items()
    ]
    why = (
        "The model sees one picture in one crop here, so methods that share a budget out among "
        "crops or frames have nothing to do."
    )
    return ["## What could not run", why, "\n".join(lines)]
