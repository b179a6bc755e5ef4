"""One examined answer: what was found out about it, kept with a run of its own.

Every further run for a case becomes a lane of its run, so the memory limit of all kept runs counts
it too. A case is a copy: stored examples, which everybody sees, are never written to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tokviz
from tokviz.errors import InputError
from tokviz.examine.counterfactual import Certificate
from tokviz.examine.diagnosis import Report, how_often
from tokviz.trace import Trace
from tokviz.view import desk
from tokviz.view.word_effects import token_probabilities, word_changes

from ..runs.lane_request import LaneRequest
from ..runs.runs import FULL, KeptRun, Runs

MAX_FURTHER_RUNS = 40
"""Further runs that one case holds."""


@dataclass
class Case:
    """What the desk found out about one run."""

    report: Report
    note: str = ""
    "What is known about a stored mistake."
    truth: str = ""
    "The right answer, where a stored example has one."
    probabilities: dict[int, list[float]] = field(default_factory=dict)
    "Lane -> probability there of each token of the examined answer."
    forced: dict[int, str] = field(default_factory=dict)
    "Lane -> the words that its answer was made to begin with."
    mitigations: dict[int, str] = field(default_factory=dict)
    "Lane -> name of the mitigation."
    found: dict[str, tuple[Certificate, int | None]] = field(default_factory=dict)
    "necessary, sufficient -> certificate, and the lane that was run with what was left."


def new_case(
    runs: Runs,
    run: KeptRun,
    model: str,
    trace: Trace,
    report: Report,
    note: str,
    truth: str = "",
) -> KeptRun:
    """Return a run of its own, kept, with a case about the answer."""
    copied = KeptRun(run.image, run.prompt, model, {FULL: trace}, file=run.file)
    copied.example, copied.source = run.example, run.source
    copied.case = Case(report, note, truth)
    return runs.put(copied)


def add_lane(runs: Runs, run: KeptRun, trace: Trace, asked: LaneRequest) -> int:
    """Keep one more run of the question; return its lane's number.

    Raises:
        InputError: the case is full.
    """
    number = max(run.traces) + 1
    if number >= MAX_FURTHER_RUNS:
        raise InputError(f"a case holds {MAX_FURTHER_RUNS} further runs: examine the answer again.")
    run.traces[number], run.lanes[number] = trace, asked
    runs.put(run)
    return number


def case_value(run: KeptRun) -> dict[str, Any]:
    """Return a case as the desk draws it."""
    case, full = run.case, run.traces[FULL]
    words = [desk.word_card(word, full) for word in case.report.words]
    entries = {lane: tokviz.MITIGATIONS[name] for lane, name in case.mitigations.items()}
    mitigations = [
        desk.judged(desk.mitigation_outcome(i, one, run.traces[i], full), case.truth)
        | {"changes": changes(run, i)}
        for i, one in entries.items()
    ]
    mitigations.sort(key=lambda one: (not one["right"], not one["changed"]))
    return {
        "run": run.name,
        "prompt": run.prompt,
        "answer": full.answer,
        "note": case.note,
        "flags": desk.flags(words),
        "how_often": how_often(),
        "words": words,
        "forced": [forced_outcome(run, lane, text) for lane, text in case.forced.items()],
        "mitigations": mitigations,
        "mitigation_summary": desk.named(mitigations, case.truth),
        "found": [
            desk.proof(certificate, None if lane is None else run.traces[lane], lane)
            | {"changes": [] if lane is None else changes(run, lane)}
            for certificate, lane in case.found.values()
        ],
    }


def changes(run: KeptRun, lane: int) -> list[dict[str, float | None]]:
    """Return the probability of each examined word in the answer, and in a further run."""
    full = run.traces[FULL]
    before = token_probabilities(full, full)
    return word_changes(run.case.report.words, before, run.case.probabilities.get(lane))


def forced_outcome(run: KeptRun, lane: int, text: str) -> dict[str, Any]:
    """Return the answer from a forced word on, with what that word and the model's own had."""
    full, ids = run.traces[FULL], run.lanes[lane].forced
    shown = desk.judged(
        desk.outcome(lane, f"“{text}” forced", run.traces[lane], full), run.case.truth
    )
    at = len(ids) - 1
    found = [one for one in desk.candidates(full, at) if one["id"] == ids[at]]
    own = token_probabilities(full, full)
    return shown | {
        "at": at,
        "own": own[at] if own is not None and at < len(own) else None,
        "forced": found[0]["probability"] if found else None,
    }


def word_pictures(run: KeptRun, number: Any) -> list[dict[str, str]]:
    """Return where the model looked for one word of a case; a word that is not there has none."""
    words = run.case.report.words
    if type(number) is not int or not 0 <= number < len(words):
        return []
    return desk.word_maps(range(*words[number].tokens), run.traces[FULL])
