"""`tokviz answer --repeats N`: is this plan faster than the full answer? N rounds in turn."""

from __future__ import annotations

from typing import Any

from tokviz.errors import InputError
from tokviz.time_ratio import MIN_PAIRS, TimeRatio, time_ratio

COMPARED = {"first_token": "first token", "total": "total"}


def check_repeats(repeats: int, plan: Any) -> None:
    """Raise InputError unless so many rounds with this plan give a verdict."""
    if plan is None:
        raise InputError("--repeats compares with the full answer: give --method or --mitigation.")
    if repeats < MIN_PAIRS:
        raise InputError(f"--repeats must be at least {MIN_PAIRS} for a verdict, got {repeats}.")


def compared(
    own: dict[str, list[float]], full: dict[str, list[float]]
) -> dict[str, TimeRatio | None]:
    """Return how many times as long the plan takes as the full answer, by COMPARED."""
    return {name: time_ratio(own[name], full[name]) for name in COMPARED}


def sentence(found: dict[str, TimeRatio | None], share: float | None) -> str:
    """Return the verdict on one line, with the formula's cost beside it."""
    parts = [f"{COMPARED[name]} {ratio.text()}" for name, ratio in found.items() if ratio]
    theory = "" if share is None else f"; prefill {share:.0%} of the full arithmetic, by formula"
    rounds = next((ratio.pairs for ratio in found.values() if ratio), 0)
    return f"{', '.join(parts)}: medians of {rounds} rounds in turn{theory}"


def as_json(found: dict[str, TimeRatio | None]) -> dict[str, Any]:
    """Return the same for `--json`."""
    return {
        name: {"median": r.median, "low": r.low, "high": r.high, "rounds": r.pairs,
               "verdict": r.verdict}
        for name, r in found.items() if r
    }  # fmt: skip
