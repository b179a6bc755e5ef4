"""Lists of methods, analyses and models as plain rows, as text and as Markdown tables.

The CLI's lists and the tables in docs/ are generated here, so they always agree with the code.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import tokviz
from tokviz.errors import InputError
from tokviz.names import unknown

STAND_IN = "stand-in"
POLICIES = {"keep": "kept", "repack": "renumbered", "mean": "averaged"}
"""Position policy -> what it does to the position ids of tokens that are left, in one word."""
LISTS = {
    "methods": "reduction methods",
    "mitigations": "mitigations of hallucination",
    "analyses": "analyses",
    "families": "families of models that load",
    "models": "models to choose from",
}
"""The lists, with their contents in words."""

SINGULAR = {
    "methods": "method",
    "mitigations": "mitigation",
    "analyses": "analysis",
    "families": "family",
    "models": "model",
}
"""What one entry of a list is called."""

HEADINGS = {
    "methods": ("Method", "Acts", "What it does", "Paper"),
    "mitigations": ("Mitigation", "Kind", "What it does", "Paper"),
    "analyses": ("Analysis", "What it shows", "Reads", "Paper"),
    "families": ("Family", "model_type", "How a picture becomes visual tokens", "How a film does"),
    "models": ("Model", "Family", "Parameters", "Memory", "[CLS]", "Tested", "To try it"),
}


def rows(which: str) -> list[dict[str, Any]]:
    """Return one JSON-ready row per entry of a list, sorted by name."""
    if which == "methods":
        return [_method(method) for method in tokviz.METHODS.values()]
    if which == "mitigations":
        return [_mitigation(mitigation) for mitigation in tokviz.MITIGATIONS.values()]
    if which == "analyses":
        return [_analysis(analysis) for analysis in tokviz.ANALYSES.values()]
    if which == "families":
        return [_family(family) for family in dict.fromkeys(tokviz.FAMILIES.values())]
    return [_model(model) for model in tokviz.MODELS.values()]


def plain(entries: Sequence[dict[str, Any]]) -> str:
    """Return the rows as aligned lines: name, then one sentence."""
    width = max((len(entry["name"]) for entry in entries), default=0)
    return "\n".join(f"{entry['name']:{width}}  {_summary(entry)}" for entry in entries)


def entry(which: str, name: str) -> dict[str, Any]:
    """Return the row of one entry; raise InputError, with the nearest name, when there is none."""
    found = {row["name"]: row for row in rows(which)}
    if name not in found:
        raise InputError(unknown(SINGULAR[which], name, found))
    return found[name]


def details(row: Mapping[str, Any]) -> str:
    """Return all about one entry: a line for each thing that is known of it."""
    told = [(key, value) for key, value in row.items() if key not in ("name", "options")]
    lines = [row["name"]]
    lines += [f"  {key.replace('_', ' ')}: {_words(value)}" for key, value in told if value != ""]
    options = row.get("options", [])
    lines += ["  options:"] if options else []
    return "\n".join([*lines, *(f"    {_option_line(option)}" for option in options)])


def _words(value: Any) -> str:
    """Return a value of a row as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return "; ".join(_words(one) for one in value) or "none"
    return "not known" if value is None else " ".join(str(value).split())


def _option_line(option: Mapping[str, Any]) -> str:
    """Return an option's name, type, default and what is allowed."""
    text = f"{option['name']} ({option['type']}) = {option['default']}"
    if option["choices"]:
        return f"{text}, one of {', '.join(map(str, option['choices']))}"
    if option["low"] is not None or option["high"] is not None:
        return f"{text}, {option['low']} to {option['high']}"
    return text


def markdown(which: str, entries: Sequence[dict[str, Any]] | None = None) -> str:
    """Return a list, or some of its rows, as a Markdown table."""
    head = HEADINGS[which]
    lines = [head, tuple("---" for _ in head)]
    lines += [_cells(which, entry) for entry in (rows(which) if entries is None else entries)]
    return "\n".join(f"| {' | '.join(_cell(c) for c in line)} |" for line in lines)


def _method(method: Any) -> dict[str, Any]:
    return {
        "name": method.name,
        "title": method.title,
        "summary": method.summary,
        "notes": method.notes,
        "place": method.place,
        "acts_at": method.acts_at,
        "kind": method.kind,
        "needs": list(method.needs),
        "optional": list(method.optional),
        "fallbacks": dict(method.fallbacks or {}),
        "effect": method.effect,
        "query_aware": method.query_aware,
        "taxonomy": import_module("tokviz.reduction.taxonomy").taxonomy(method).as_json(),
        "verified": method.verified,
        "status": _status(method),
        "positions": method.positions,
        "paper": method.paper,
        "year": method.year,
        "code": method.code,
        "licence": method.licence,
        "published": [
            {"budget": row.budget, "source": row.source, "scores": dict(row.scores)}
            for row in method.published
        ],
        "options": [_option(option) for option in method.options.values()],
    }


def _mitigation(mitigation: Any) -> dict[str, Any]:
    return {
        "name": mitigation.name,
        "title": mitigation.title,
        "summary": mitigation.summary,
        "notes": mitigation.notes,
        "kinds": list(mitigation.kinds),
        "verified": mitigation.verified,
        "status": _status(mitigation),
        "paper": mitigation.paper,
        "year": mitigation.year,
        "code": mitigation.code,
        "licence": mitigation.licence,
        "options": [_option(option) for option in mitigation.options.values()],
    }


def _status(entry: Any) -> dict[str, Any] | None:
    """Return the best word that a run of it can earn, with reasons; None for a baseline."""
    # the module needs all methods, which the help of the commands does not
    status = import_module("tokviz.reduction.run_status").declared_status(entry)
    return status.as_json() if status else None


def _option(option: Any) -> dict[str, Any]:
    return {
        "name": option.name,
        "type": option.type.__name__,
        "default": option.default,
        "choices": list(option.choices),
        "low": option.range.low if option.range else None,
        "high": option.range.high if option.range else None,
    }


def _analysis(analysis: Any) -> dict[str, Any]:
    return {
        "name": analysis.name,
        "title": analysis.title,
        "summary": analysis.summary,
        "notes": analysis.notes,
        "meaning": analysis.meaning,
        "not_meaning": analysis.not_meaning,
        "exactness": analysis.exactness,
        "cost": analysis.cost,
        "needs": list(analysis.needs),
        "asks": list(analysis.asks),
        "paper": analysis.paper,
        "year": analysis.year,
        "options": [_option(option) for option in analysis.options.values()],
    }


def _family(family: Any) -> dict[str, Any]:
    first = inspect.getdoc(sys.modules[type(family).__module__]).partition("\n")[0]  # type: ignore
    summary = first.partition(": ")[2]
    return {
        "name": family.name,
        "title": family.title,
        "summary": summary[:1].upper() + summary[1:],
        "film": family.film,
        "model_types": list(family.model_types),
    }


def _model(card: Any) -> dict[str, Any]:
    return {
        "name": card.name,
        "title": card.title,
        "summary": card.note,
        "family": card.family,
        "parameters": card.parameters,
        "memory_gb": card.memory_gb,
        "has_cls": card.has_cls,
        "tested": card.tested,
        "command": card.command,
    }


def _cells(which: str, entry: dict[str, Any]) -> tuple[str, ...]:
    name = f"`{entry['name']}`"
    if which == "models":
        memory, cls = f"{entry['memory_gb']:g} GB", "yes" if entry["has_cls"] else "no"
        command = f"`{entry['command']}`" + (f" {entry['summary']}" if entry["summary"] else "")
        return name, entry["family"], entry["parameters"], memory, cls, entry["tested"], command
    if which == "families":
        types = ", ".join(f"`{kind}`" for kind in entry["model_types"])
        return entry["title"], types, entry["summary"], entry["film"]
    year = f", {entry['year']}" if entry["year"] else ""
    paper = _paper(entry["title"] + year, entry["paper"])
    if which == "mitigations":
        return name, ", ".join(entry["kinds"]), _summary(entry), paper
    reads = ", ".join(f"`{name}`" for name in (*entry["needs"], *entry.get("asks", ())))
    if which == "analyses":
        return name, entry["summary"], reads, paper
    return name, entry["acts_at"], _summary(entry), paper


def marked(name: str) -> str:
    """Return the name of a method or mitigation as tables show it, a stand-in marked as one.

    One name may be both (`cmai`): it is marked when either is a stand-in.
    """
    entries = [r[name] for r in (tokviz.METHODS, tokviz.MITIGATIONS) if name in r]
    return f"`{name}`" + ("" if all(e.verified for e in entries) else f" ({STAND_IN})")


def _summary(entry: dict[str, Any]) -> str:
    """Return the sentence of a row, with a warning if the method is a stand-in."""
    stand_in = " (stand-in, not verified against the paper)"
    return entry["summary"] + ("" if entry.get("verified", True) else stand_in)


def _paper(text: str, link: str) -> str:
    return f"[{text}]({link})" if link else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
