"""The menu of analyses of one run: groups, what each costs here, and why one cannot be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokviz.analysis import Analysis, Size
from tokviz.analysis.declare import ANALYSES, GROUPS
from tokviz.errors import InputError
from tokviz.options import check_options
from tokviz.trace import Trace
from tokviz.view.lanes import duration
from tokviz.view.method_cards import option_card

from ..runs.runs import KeptRun

FOLDER = "It is about a folder of pictures: tokviz analyse folder/ --analysis {}"
NO_SINKS = (
    "This model marks no sinks by special dimensions of its states. “Attention sinks by what they "
    "receive” needs none."
)
NO_PICTURE = "It runs the model again, and this run holds no picture that could be asked about."
BACKWARD = 2.0
"""Time of a backward pass, in forward passes."""


def analysis_menu(run: KeptRun, trace: Trace) -> list[dict[str, Any]]:
    """Return one entry per registered analysis, by group."""
    found = [entry_card(entry, run, trace) for entry in ANALYSES.values()]
    return sorted(found, key=lambda card: (GROUPS.index(card["group"]), card["title"].lower()))


def entry_card(entry: Analysis, run: KeptRun, trace: Trace) -> dict[str, Any]:
    """Return one entry of the menu."""
    why_not = why(entry, run, trace)
    return {
        "name": entry.name,
        "title": entry.title,
        "group": entry.group,
        "summary": entry.summary,
        "meaning": entry.meaning,
        "not_meaning": entry.not_meaning,
        "exactness": entry.exactness,
        "cost": "" if why_not else cost_text(entry, trace, {}),
        "why_not": why_not,
        "options": [option_card(option) for option in entry.options.values()],
        "paper": entry.paper,
        "year": entry.year,
    }


def why(entry: Analysis, run: KeptRun, trace: Trace) -> str:
    """Return why an analysis cannot be made of a run, "" when it can."""
    if "folder" in entry.asks:
        return FOLDER.format(entry.name)
    recorded = "attention" in trace
    if "sink_phi" in entry.needs and "sink_phi" not in trace and recorded:
        return NO_SINKS
    if said := entry.lacks_rows(trace):
        return said
    if (entry.asks or entry.missing(trace)) and run.image is None:
        return NO_PICTURE
    return ""


def passes(entry: Analysis, trace: Trace, options: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many forward and backward passes an analysis takes beyond the run."""
    checked = check_options(entry.name, entry.options, dict(options))
    layers, words = int(trace.model.get("layers", 1)), len(trace.prompt.split())
    size = Size(trace.layout, layers, trace.t, words)
    forward = entry.forwards(size, **checked)
    if "control_prob" in entry.uses and "control_prob" in trace:
        forward = 0
    backward = forward if "forward" in entry.asks else trace.t if "gradients" in entry.asks else 0
    return forward, backward


def cost_text(entry: Analysis, trace: Trace, options: Mapping[str, Any]) -> str:
    """Say what an analysis costs before it is made: passes, and about how long they take here.

    Raises:
        InputError: an option that is not allowed.
    """
    forward, backward = passes(entry, trace, options)
    again = bool(entry.missing(trace))
    parts = ["the run once more, recording more"] if again else []
    parts += [count(forward, "pass", "passes")] if forward else []
    parts += [count(backward, "backward pass", "backward passes")] if backward else []
    if not parts:
        return "at once, from what the run recorded"
    one = float(trace.timings.get("prefill", 0.0))
    seconds = one * (forward + BACKWARD * backward)
    seconds += float(trace.timings.get("total", 0.0)) if again else 0.0
    about = f", about {duration(seconds)} by this run's times" if seconds else ""
    return " and ".join(parts) + about


def count(number: int, one: str, several: str) -> str:
    """Return "1 pass" or "37 passes"."""
    return f"{number:,} {one if number == 1 else several}"


def asked_cost(name: Any, trace: Trace, options: Any) -> str:
    """Return the cost with options that a browser sent; a sentence where they are not allowed."""
    if name not in tuple(ANALYSES) or not isinstance(options, Mapping):
        return ""
    try:
        return cost_text(ANALYSES[name], trace, options)
    except InputError as error:
        return str(error)
