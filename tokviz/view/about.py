"""All that is declared of a method, in words: for its "About" on the page and for the docs."""

from __future__ import annotations

from typing import Any

from tokviz.reduction.method import EFFECTS, IMAGES, TILES, Method
from tokviz.reduction.run_status import declared_status
from tokviz.view.run_names import POSITIONS

KIND_WORDS = {"select": "prunes", "merge": "merges", "both": "prunes and merges"}


def about(entry: Method) -> list[tuple[str, str]]:
    """Return what there is to say of a method beside its docstring, as (what, text)."""
    rows = [
        ("Kind", KIND_WORDS.get(entry.kind, entry.kind)),
        ("Acts", entry.acts_at),
        ("Left out", EFFECTS[entry.effect]),
        ("W", acts_on(entry)),
        ("Reads", reads(entry) or "nothing"),
        ("Question", "decides by it" if entry.query_aware else "does not read it"),
        ("Positions", f"{POSITIONS[entry.positions][0]}, as published"),
        ("Count", "its own, which may be below the budget" if entry.adaptive else ""),
        ("Several images", IMAGES[entry.images]),
        ("Crops", "" if entry.place == "tower" else TILES[entry.tiles]),
        ("Official code", official(entry)),
        ("Status", status_text(entry)),
        ("Variants", variants(entry)),
        ("Published", "; ".join(published_rows(entry))),
    ]
    return [(name, text) for name, text in rows if text]


def acts_on(entry: Method) -> str:
    """Return which features the matrix W of a method multiplies, before or after the projector."""
    if entry.place == "language_model":
        return "acts on the visual rows inside the language model, after the projector."
    if entry.place == "picture":
        return "acts on no token: those of the smaller picture are others."
    if entry.place == "cache":
        return (
            "acts on keys and values in a layer's cache, one matrix per key head; drawn is their "
            "union, in which a token that any head keeps has a row."
        )
    if entry.place == "tower":
        return "acts on the states inside the vision tower, before the projector."
    if entry.space == "pre":
        return (
            "acts before the projector: features of the tower's width are reduced, and what was "
            "merged is then projected."
        )
    return "acts after the projector, on features of the language model's width."


def reads(entry: Method, mark: str = "{}") -> str:
    """Return the signals of a method with their fallbacks, optional ones in brackets.

    Args:
        entry: the method.
        mark: how a name is written, such as "`{}`".
    """
    needed = [
        f"{mark.format(name)} ← {mark.format(entry.fallbacks[name])}"
        if name in entry.fallbacks
        else mark.format(name)
        for name in entry.needs
    ]
    return ", ".join([*needed, *(f"({mark.format(name)})" for name in entry.optional)])


def official(entry: Method) -> str:
    """Return the official repository and its licence, or that there is none."""
    if not entry.code:
        return "none found" if entry.paper else "baseline"
    return f"{entry.code}, {entry.licence or 'none stated'}"


def status_text(entry: Any) -> str:
    """Return the best word that an entry can earn in a run, with the reasons; "" for a baseline."""
    status = declared_status(entry)
    if status is None:
        return ""
    bound = getattr(entry, "fallbacks", None) or getattr(entry, "measured_on", None)
    best = "at best: " if status.why or bound else ""
    reasons = f": {'; '.join(status.why)}" if status.why else ""
    return f"{best}{status.word}{reasons}"


def variants(entry: Method) -> str:
    """Return the choices of a method's `variant` or `version` option, the default first."""
    for name in ("variant", "version"):
        if name in entry.options:
            option = entry.options[name]
            others = [choice for choice in option.choices if choice != option.default]
            return ", ".join(str(choice) for choice in (option.default, *others))
    return ""


def published_rows(entry: Method) -> list[str]:
    """Return one text per published measurement of LLaVA-1.5-7B."""
    found = []
    for row in entry.published:
        scores = ", ".join(f"{name} {value:g}" for name, value in row.scores.items())
        found.append(f"{row.budget}: {scores} ({row.source})")
    return found
