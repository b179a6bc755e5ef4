"""Searches the settings of VFlowOpt that change the prompt's last state least.

As published (arXiv 2508.05211), the settings maximise last-token fidelity: the cosine between the
last prompt row's last state with all tokens and with fewer, mean over some samples. The budget is
the mean share of visual tokens over the language model's layers. Two of the three ratios are free,
and the third follows from the budget.

Departures: the published search is Bayesian (300 calls, the first 27 random, 30 samples). This one
tries the published preset, then random points, then smaller and smaller steps around the best
point. The weight of pixel entropy is 0, as in all released settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.models.families.shared_keys import removing_layers
from tokviz.models.loaded import Loaded
from tokviz.models.runs.streaming import answer
from tokviz.plans import Plan, plan
from tokviz.reduction.parts.schedules import in_depth
from tokviz.reduction.vflowopt import CELLS, SHARES, THRESHOLDS

GRID = 27
"""Side of the grid that published cell sizes refer to."""
THRESHOLD, CELL, FIRST = (0.0, 50.0), (3.0, 24.0), (0.533, 1.0)
"""Published ranges of threshold, cell side and the first ratio inside the language model."""
MAX_BEFORE = 1.5
"""At most this many times the budget may enter the language model."""


@dataclass(frozen=True)
class Settings:
    """One point of the search."""

    threshold: float
    cell: float
    "Side of a cell on a grid of 27 x 27 tokens."
    before: float
    "Share of the tokens that enters the language model."
    first: float
    "Share of those that the first stage inside it keeps."
    second: float
    "Share of those that the second stage keeps."


@dataclass(frozen=True)
class Found:
    """The best settings of a search."""

    plan: Plan
    settings: Settings
    fidelity: float
    "Mean over the samples, at most 1."
    tried: tuple[tuple[Settings, float], ...]
    "Every point and its fidelity, in order."


def search_vflowopt(
    loaded: Loaded, samples: Sequence[tuple[Any, str]], share: float, calls: int = 40, seed: int = 0
) -> Found:
    """Search VFlowOpt's settings for one budget.

    Args:
        loaded: a loaded model.
        samples: (image, prompt) pairs; all images must give equally many visual tokens.
        share: mean share of visual tokens over the layers of the language model, above 0, below 1.
        calls: points to try; each costs one prefill per sample.
        seed: seed of the random points.

    Returns:
        The best point as a plan. It is never worse than the published preset, which is tried too.

    Raises:
        InputError: no samples, a share out of range, or images with different numbers of tokens.
    """
    if not samples or calls < 1 or not 0 < share < 1:
        raise InputError(
            f"a search takes at least one sample and one call and a share between 0 and 1, got "
            f"{len(samples)} samples, {calls} calls and share {share}."
        )
    full = [_last_state(loaded, sample, None) for sample in samples]
    counts = {n for _, n in full}
    if len(counts) > 1:
        raise InputError(f"the samples must have equally many visual tokens, got {sorted(counts)}.")
    layers, (n,) = removing_layers(loaded.family.decoder(loaded.model)), counts
    rng = np.random.default_rng(seed)
    tried: list[tuple[Settings, float]] = []
    for number in range(calls):
        so_far = max(tried, key=lambda one: one[1])[0] if tried else None
        point = proposed(rng, share, layers, number / calls, so_far)
        chosen = as_plan(point, n)
        states = [_last_state(loaded, sample, chosen)[0] for sample in samples]
        pairs = zip((state for state, _ in full), states, strict=True)
        tried.append((point, float(np.mean([_cosine(a, b) for a, b in pairs]))))
    best, fidelity = max(tried, key=lambda one: one[1])
    return Found(as_plan(best, n), best, fidelity, tuple(tried))


def proposed(
    rng: np.random.Generator, share: float, layers: int, done: float, best: Settings | None
) -> Settings:
    """Return the next point: the preset, then random ones, then steps around the best so far."""
    while best is None or done < 1 / 3:
        threshold, cell = rng.uniform(*THRESHOLD), rng.uniform(*CELL)
        if best is None:
            threshold, cell = (float(np.interp(share, SHARES, p)) for p in (THRESHOLDS, CELLS))
        before = min(rng.uniform(1.0, MAX_BEFORE) * share, 1.0)
        drawn = Settings(threshold, cell, before, rng.uniform(*FIRST), 1.0)
        point = within_budget(drawn, share, layers)
        if point is not None:
            return point
    while True:
        width = 0.3 * (1.1 - done)
        moved = Settings(
            _stepped(rng, best.threshold, THRESHOLD, width),
            _stepped(rng, best.cell, CELL, width),
            _stepped(rng, best.before, (share, min(MAX_BEFORE * share, 1.0)), width),
            _stepped(rng, best.first, FIRST, width),
            1.0,
        )
        point = within_budget(moved, share, layers)
        if point is not None:
            return point


def _stepped(
    rng: np.random.Generator, value: float, span: tuple[float, float], width: float
) -> float:
    """Return the value after a random step of about `width` of its span, inside the span."""
    low, high = span
    return float(np.clip(value + width * (high - low) * rng.standard_normal(), low, high))


def within_budget(point: Settings, share: float, layers: int) -> Settings | None:
    """Return the point with the second ratio that gives the budget; None if no ratio does."""
    first, second = (in_depth(layer, 28, layers) for layer in (9, 18))
    spent = point.before * (first + (second - first) * point.first)
    ratio = (share * layers - spent) / ((layers - second) * point.before * point.first)
    return replace(point, second=ratio) if 0 < ratio <= 1 else None


def as_plan(point: Settings, n: int) -> Plan:
    """Return the settings as a plan for n visual tokens."""
    before = max(round(n * point.before), 1)
    last = min(max(round(n * point.before * point.first * point.second), 1), before)
    cut = math.log(point.first * point.second)
    stage = min(max(math.log(point.first) / cut, 0.0), 1.0) if cut else 1.0
    side = max(point.cell * n**0.5 / GRID, 1.0)
    start = plan("vflowopt", before, threshold=point.threshold, cell=side)
    return start.then(plan("vflowopt_stages", last, first_stage=stage))


def _last_state(
    loaded: Loaded, sample: tuple[Any, str], chosen: Plan | None
) -> tuple[np.ndarray, int]:
    """Return the last prompt row's last state [d] and the number of visual tokens."""
    capture = replace(Capture.nothing(), readout=True)
    trace = answer(loaded, *sample, chosen, 1, capture)
    return trace["last_state"].astype(np.float64), trace.n


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-30))
