"""What is known of a sweep over budgets while it runs, and what the page shows of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import tokviz
from tokviz.evaluation.same_answer import same_answer
from tokviz.trace.status import marked_title
from tokviz.view.keeping import Criterion, judged, keep_chart
from tokviz.view.numbers import percent
from tokviz.view.strip import cell, ladder, smallest, time_left
from tokviz.view.word_prob import (
    AnswerWord,
    answer_words_of,
    default_choice,
    still_said,
    word_probabilities,
)

from ..answering.blind import Blind, blind_value
from ..answering.scored import Scored
from ..runs.lane_request import LaneRequest
from ..runs.runs import FULL, KeptRun


@dataclass
class MethodSweep:
    """One method at its budgets."""

    lane: LaneRequest
    "What is asked at every budget; its own `keep` is ignored."
    first: int
    "Number of its first lane in the run."
    budgets: list[int] = field(default_factory=list)
    lanes: list[Scored] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The method's title."""
        return marked_title(tokviz.METHODS[self.lane.method])


@dataclass
class KeepSweep:
    """A sweep while it runs, and afterwards."""

    run: KeptRun
    n: int
    criterion: Criterion | None
    "What must hold; None = the words that carry content, once they are known."
    full: Scored | None = None
    methods: list[MethodSweep] = field(default_factory=list)
    blind: Blind | None = None
    "The answer without the picture, where that was asked for."
    began: float = field(default_factory=time.monotonic)

    @property
    def words(self) -> list[AnswerWord]:
        """Return the words of the full answer; [] while it is being written."""
        trace = self.full.view.trace if self.full else None
        return answer_words_of(trace) if trace is not None else []

    @property
    def held(self) -> Criterion:
        """What must hold."""
        if self.criterion is not None and (self.criterion.words or self.criterion.mode == "answer"):
            return self.criterion
        mode = self.criterion or Criterion()
        return replace(mode, words=tuple(default_choice(self.words)))

    def cells(self, sweep: MethodSweep) -> list[dict[str, Any]]:
        """Return the cells of one method, all tokens first, each with its state."""
        full = self.full.view.text if self.full and self.full.view.done else None
        words = self.words
        found = [_cell(self.n, self.n, self.full, full, words) | {"lane": FULL}]
        for number, (keep, one) in enumerate(zip(sweep.budgets, sweep.lanes, strict=False)):
            found.append(_cell(keep, self.n, one, full, words) | {"lane": sweep.first + number})
        found = judged(found, self.held)
        return sorted(found, key=lambda one: one["keep"], reverse=True)

    def value(self, phase: str) -> dict[str, Any]:
        """Return the strip's value."""
        shown = [(sweep, self.cells(sweep)) for sweep in self.methods]
        held = self.held
        return strip_value(phase) | {
            "progress": self._progress() if phase == "running" else "",
            "run": self.run.name,
            "words": [{"text": one.text, "content": one.content} for one in self.words],
            "held": {"mode": held.mode, "words": list(held.words), "threshold": held.threshold},
            "holds": held.text([one.text for one in self.words]),
            "methods": [
                {
                    "name": sweep.lane.method,
                    "title": sweep.title,
                    "cells": cells,
                    "conclusion": smallest(cells) if _ran(cells) else cells[-1]["text"],
                    "refused": not _ran(cells),
                }
                for sweep, cells in shown
            ],
            "blind": self._blind_value(held),
        }

    def _blind_value(self, held: Criterion) -> dict[str, Any] | None:
        """Return the answer without the picture, with the lowest P of the words that must hold."""
        full = self.full.view.text if self.full and self.full.view.done else None
        found = blind_value(self.blind, self.words, full)
        return found and found | {"lowest": held.lowest(found)}

    def chart(self) -> Any:
        """Return the chart of all methods; None before anything is known."""
        shown = [(sweep.title, self.cells(sweep)) for sweep in self.methods]
        if not any(one["lowest"] is not None for _, cells in shown for one in cells):
            return None
        blind = self._blind_value(self.held)
        level = blind["lowest"] if blind else None
        return keep_chart(shown, self.held, [one.text for one in self.words], level)

    def keep(self) -> None:
        """Remember what was run, so that a cell can be opened."""
        self.run.traces, self.run.lanes = {}, {}
        if self.full is not None and self.full.trace is not None:
            self.run.traces[FULL] = self.full.view.trace or self.full.trace
        for sweep in self.methods:
            for number, one in enumerate(sweep.lanes, start=sweep.first):
                if one.trace is not None:
                    self.run.traces[number] = one.trace
                    keep = sweep.budgets[number - sweep.first]
                    self.run.lanes[number] = replace(sweep.lane, keep=keep)

    def _progress(self) -> str:
        now = self.methods[-1] if self.methods else None
        if now is None:
            return "Reading the picture …"
        steps = len(ladder(self.n)) - 1
        done = sum(one.prob is not None or bool(one.view.error) for one in now.lanes)
        if len(now.budgets) > steps:
            return f"{now.title}: narrowing it down, {now.budgets[-1]} tokens"
        spent = time.monotonic() - self.began
        parts = [f"{now.title}: {done} of {steps} budgets", time_left(done, steps, spent)]
        return ", ".join(filter(None, parts))


def _ran(cells: Sequence[dict[str, Any]]) -> bool:
    """Return whether a method can leave any of its budgets, or is not known to refuse them all."""
    own = [one["state"] for one in cells if one["lane"] != FULL]
    return not own or set(own) != {"refused"}


def _cell(
    keep: int, n: int, one: Scored | None, full: str | None, words: Sequence[AnswerWord]
) -> dict[str, Any]:
    """Return one cell: as in `strip.cell`, with what is known of the full answer's words."""
    if one is None:
        share = percent(keep / n)
        return {"keep": keep, "share": share, "state": "waiting", "text": "", "words": []}
    shown = cell(keep, n, one.view, full)
    if shown["state"] not in ("holds", "changes"):
        return shown
    shown |= {"state": "done", "same": same_answer(one.view.text, full or "")}
    if one.prob is not None and one.said is not None:
        shown["prob"] = word_probabilities(words, one.prob)
        shown["said"] = still_said(words, one.said)
    return shown


def strip_value(phase: str = "empty", *, progress: str = "", error: str = "") -> dict[str, Any]:
    """Return the strip's value without a sweep; phase is empty, running or done."""
    return {
        "phase": phase,
        "progress": progress,
        "error": error,
        "run": "",
        "words": [],
        "held": None,
        "holds": "",
        "methods": [],
        "blind": None,
    }
