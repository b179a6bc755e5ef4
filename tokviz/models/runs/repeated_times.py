"""The times of several plans on one question, measured in turn, several times over.

A round answers with every plan once, and each round begins with another plan, so that a machine
that slows down or warms up does so for all sides alike. Nothing is recorded meanwhile. A first
round, which fills caches, is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokviz.budget import whole_number
from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.models.loaded import Loaded
from tokviz.models.runs.streaming import answer
from tokviz.plans import Plan, as_plans
from tokviz.time_ratio import MAX_PAIRS

NAMES = ("decide", "prefill", "first_token", "total")
"""Timings that are repeated."""


def time_plans(
    loaded: Loaded,
    images: Any,
    prompt: str,
    plans: Sequence[Plan | Sequence[Plan] | str | None],
    repeats: int = 5,
    max_new_tokens: int = 64,
) -> list[dict[str, list[float]]]:
    """Return the seconds of every plan by NAMES, one per round; see `VLM.time_plans`."""
    rounds = whole_number(repeats)
    if rounds is None or not 1 <= rounds <= MAX_PAIRS:
        raise InputError(f"repeats must be 1 to {MAX_PAIRS}, got {repeats!r:.40}.")
    asked = as_plans(plans)
    found: list[dict[str, list[float]]] = [{name: [] for name in NAMES} for _ in asked]
    for round_ in range(rounds + 1):
        for turn in range(len(asked)):
            number = (round_ + turn) % len(asked)
            trace = answer(loaded, images, prompt, asked[number], max_new_tokens, Capture.nothing())
            if round_:
                for name in NAMES:
                    found[number][name].append(round(trace.timings[name], 7))
    return found
