"""A board while it is filled and afterwards, and its value for the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokviz import METHODS
from tokviz.evaluation.same_answer import same_answer
from tokviz.reduction.taxonomy import taxonomy
from tokviz.trace.status import marked_title
from tokviz.view.lanes import duration
from tokviz.view.numbers import percent
from tokviz.view.strip import time_left
from tokviz.view.word_prob import (
    AnswerWord,
    answer_words_of,
    default_choice,
    still_said,
    word_probabilities,
)
from tokviz.view.words import compare_words

from ..answering.blind import SHORT, Blind, blind_value
from ..answering.scored import Scored
from ..runs.lane_request import SMALLER
from ..runs.runs import FULL, KeptRun
from .request import BoardRequest


@dataclass(frozen=True)
class BoardTable:
    """A board in words, as a figure of it writes them."""

    rows: list[str]
    columns: list[str]
    texts: list[list[str]]
    "P(word) of each cell."
    caption: str


@dataclass
class Board:
    """Methods x budgets of one picture and question."""

    run: KeptRun
    asked: BoardRequest
    full: Scored | None = None
    cells: list[Scored] = field(default_factory=list)
    "Row by row; those that have not begun are missing at the end, or have no text."
    blind: Blind | None = None
    stopped: str = ""
    "Why it ended early, in a sentence."

    @property
    def words(self) -> list[AnswerWord]:
        """Return the words of the full answer; [] while it is being written."""
        trace = self.full.view.trace if self.full else None
        return answer_words_of(trace) if trace is not None else []

    @property
    def done(self) -> int:
        """Return how many cells have an answer or a reason."""
        return sum(bool(one.view.done) for one in self.cells)

    def keep(self) -> None:
        """Put what has run where a cell can be opened: the full answer, and one lane per cell."""
        lanes = self.asked.lanes()
        self.run.lanes = dict(enumerate(lanes))
        found = {number: one.trace for number, one in enumerate(self.cells)}
        self.run.traces = {number: trace for number, trace in found.items() if trace is not None}
        if self.full is not None and self.full.view.trace is not None:
            self.run.traces[FULL] = self.full.view.trace

    def table(self, order: Sequence[int], chosen: Sequence[int]) -> BoardTable:
        """Return rows in an order, with P of the chosen words, by default those with content."""
        words, n = self.words, self.full.view.total_visual_tokens if self.full else 0
        there = [w for w in chosen if 0 <= w < len(words)]
        picked = there or default_choice(words)
        across = len(self.asked.budgets)
        texts = [
            [self._score(row * across + column, words, picked) for column in range(across)]
            for row in order
        ]
        named = ", ".join(words[w].text for w in picked[:8])
        return BoardTable(
            [marked_title(METHODS[self.asked.rows[row]]) for row in order],
            [
                f"{keep} token{'s' * (keep != 1)} ({percent(keep / n)})" if n else str(keep)
                for keep in self.asked.budgets
            ],
            texts,
            f"P: mean probability of {named} in the full answer; [new] and −lost words below",
        )

    def _score(self, number: int, words: Sequence[AnswerWord], picked: Sequence[int]) -> str:
        one = self.cells[number] if number < len(self.cells) else None
        if one is None or one.prob is None or not picked:
            return ""
        found = word_probabilities(words, one.prob)
        return f"P {sum(found[w] for w in picked) / len(picked):.2f}"


def board_value(
    board: Board | None = None, phase: str = "empty", progress: str = "", error: str = ""
) -> dict[str, Any]:
    """Return the board's value; phase is empty, running or done."""
    value: dict[str, Any] = {"phase": phase, "progress": progress, "error": error, "board": None}
    if board is None:
        return value
    words = board.words
    full = board.full.view.text if board.full and board.full.view.done else None
    value["board"] = {
        "run": board.run.name,
        "prompt": board.run.prompt,
        "model": board.run.model,
        "n": board.full.view.total_visual_tokens if board.full else 0,
        "answer": board.full.view.text if board.full else "",
        "words": [{"text": one.text, "content": one.content} for one in words],
        "chosen": default_choice(words),
        "full": prob_fields(board.full, words) if board.full else {},
        "budgets": list(board.asked.budgets),
        "rows": [row(name) for name in board.asked.rows],
        "cells": cells_value(board, words, full),
        "blind": blind_value(board.blind, words, full),
        "note": board.stopped,
    }
    return value


def row(name: str) -> dict[str, Any]:
    """Return a row's method and where it stands."""
    method = METHODS[name]
    return {
        "method": name,
        "title": marked_title(method),
        "where": method.acts_at,
        "year": method.year,
        "baseline": name == SMALLER,
        "verified": method.verified,
        "taxonomy": taxonomy(method).as_json(),
    }


def cells_value(
    board: Board, words: Sequence[AnswerWord], full: str | None
) -> list[dict[str, Any]]:
    """Return one entry per cell, row by row, also for those that have not begun."""
    count = len(board.asked.rows) * len(board.asked.budgets)
    waiting: dict[str, Any] = {"state": "waiting", "text": "", "words": [], "left": None}
    found = [cell(one, words, full) for one in board.cells]
    return found + [dict(waiting) for _ in range(count - len(found))]


def cell(one: Scored, words: Sequence[AnswerWord], full: str | None) -> dict[str, Any]:
    """Return one cell.

    Returns:
        {state, text, words, left, seconds, prob, said}: state is waiting, running, same, changed or
        refused; words are those of both answers with what changed; prob has P(word) per word of the
        full answer.
    """
    view = one.view
    shown: dict[str, Any] = {"text": view.text[:SHORT], "words": [], "left": None}
    if view.error:
        return shown | {"state": "refused", "text": view.error}
    if not view.done or full is None:
        return shown | {"state": "running" if view.text else "waiting"}
    timings: Mapping[str, float] = view.timings or {}
    shown["left"] = view.visual_tokens
    shown["seconds"] = duration(timings["total"]) if timings.get("total") else ""
    shown["words"] = compare_words(view.text[:SHORT], full[:SHORT])
    state = "same" if same_answer(view.text, full) else "changed"
    return shown | {"state": state} | prob_fields(one, words)


def prob_fields(one: Scored, words: Sequence[AnswerWord]) -> dict[str, Any]:
    """Return P(word) of every word, and whether it is still the first choice; {} until known."""
    if one.prob is None or one.said is None or not words:
        return {}
    return {"prob": word_probabilities(words, one.prob), "said": still_said(words, one.said)}


def progress_text(board: Board, scoring: bool, seconds: float) -> str:
    """Say how far a board is."""
    count = len(board.asked.rows) * len(board.asked.budgets)
    if scoring:
        known = sum(one.prob is not None for one in board.cells)
        return f"P(word): {known} of {count} cells"
    parts = [f"{board.done} of {count} cells", time_left(board.done, count, seconds)]
    return ", ".join(filter(None, parts))
