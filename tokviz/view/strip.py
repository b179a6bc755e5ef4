"""A keep sweep as a strip of cells: at which budgets does the answer stay the same?

Every cell is a separate run. Answers are compared by the rule of `same_answer`, as in all of
tokviz.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokviz.evaluation.same_answer import same_answer
from tokviz.trace.lane_view import LaneView
from tokviz.view.numbers import percent
from tokviz.view.words import compare_words

MAX_CELLS = 10
SHORT = 140
"""Largest number of characters of an answer in a cell."""


def ladder(n: int, count: int = MAX_CELLS) -> list[int]:
    """Return budgets from n to 1 in equal ratios, each once, largest first.

    Args:
        n: visual tokens of the picture, at least 1.
        count: largest number of budgets, at least 2.
    """
    steps = max(min(count, n) - 1, 1)
    return sorted({round(n ** (i / steps)) for i in range(steps + 1)} | {n}, reverse=True)


def cell(keep: int, n: int, lane: LaneView, full: str | None) -> dict[str, Any]:
    """Return one cell.

    Args:
        keep: its budget of n tokens.
        n: visual tokens of the picture.
        lane: the lane.
        full: the full answer, None while it is being written.

    Returns:
        {keep, share, state, text, words}: state is waiting, running, holds, changes, or refused.
    """
    shown = {"keep": keep, "share": percent(keep / n), "text": lane.text[:SHORT], "words": []}
    if lane.error:
        return shown | {"state": "refused", "text": lane.error}
    if not lane.done or full is None:
        return shown | {"state": "running" if lane.text else "waiting"}
    same = same_answer(lane.text, full)
    words = compare_words(lane.text[:SHORT], full[:SHORT])
    return shown | {"state": "holds" if same else "changes", "words": words}


def smallest(cells: Sequence[dict[str, Any]]) -> str:
    """Return a sentence about the smallest budget from which on the answer stays the same.

    Answers need not be monotone in the budget.
    """
    done = sorted((c for c in cells if c["state"] in ("holds", "changes")), key=lambda c: c["keep"])
    if not done:
        return ""
    n = max(c["keep"] for c in done)
    failing = [c["keep"] for c in done if c["state"] == "changes"]
    holding = [c["keep"] for c in done if c["state"] == "holds"]
    if not failing:
        least = holding[0]
        return f"The answer holds at every budget that was tried, down to {_tokens(least)}."
    above = [keep for keep in holding if keep > failing[-1]]
    below = [keep for keep in holding if keep < failing[-1]]
    if not above:
        text = "The answer changes at every budget that was tried"
        return text + (f", except at {_list(below)} tokens." if below else ".")
    text = f"Smallest keep that holds the answer: {_tokens(above[0])} ({percent(above[0] / n)})"
    if above == [n]:
        text = f"Only all {n} tokens hold the answer"
    text += f"; at {failing[-1]} it changes."
    return text + (f" It comes back at {_list(below)}, by luck or not." if below else "")


def next_budget(cells: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the next budget of the search for the smallest that holds; None if it is found.

    Halves the gap between the largest budget that changes the answer and the next one that holds.
    """
    done = [c for c in cells if c["state"] in ("holds", "changes")]
    failing = max((c["keep"] for c in done if c["state"] == "changes"), default=0)
    above = min((c["keep"] for c in done if c["keep"] > failing), default=0)
    return (failing + above) // 2 if failing and above - failing > 1 else None


def time_left(done: int, total: int, seconds: float) -> str:
    """Return the estimated time left as text; "" if nothing is known yet."""
    if not done or done >= total:
        return ""
    return f"about {max(seconds / done * (total - done), 1):.0f} s left"


def _tokens(count: int) -> str:
    return f"{count} token" if count == 1 else f"{count} tokens"


def _list(values: Sequence[int]) -> str:
    return ", ".join(str(value) for value in values)
