"""Is one side faster than the other? Only what was run again and again may say so.

One timing is a fact about one moment: the same run takes twice as long while the machine does
something else. A verdict needs both sides timed in turn, several times; it is the median of the
ratios of neighbours, and it is none where the spread of these ratios covers 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokviz.trace import Trace

MIN_PAIRS = 4
"""Pairs below this give no verdict."""
MAX_WHOLE = 12
"""Up to so many pairs the spread is their whole range; of more it is the middle 80 %."""
MAX_PAIRS = 1000
REPEATS = "time_repeats"
"""Where a trace's facts about its model keep repeated timings: name -> seconds, in turn."""


@dataclass(frozen=True)
class TimeRatio:
    """How many times as long one side takes as the other, from pairs timed in turn."""

    median: float
    low: float
    high: float
    pairs: int

    @property
    def verdict(self) -> str:
        """`slower`, `faster`, or `same` where the spread covers the difference."""
        if self.low > 1:
            return "slower"
        return "faster" if self.high < 1 else "same"

    def text(self, of: str = "full") -> str:
        """Return the median and its spread in words; "≈" where there is no difference to see."""
        spread = f"{self.low:.2f} to {self.high:.2f}"
        if self.verdict == "same":
            return f"≈ as {of} ({spread}×)"
        return f"{self.median:.2f}× {of} ({spread}){', slower' * (self.low > 1)}"


def time_ratio(own: Sequence[float], base: Sequence[float]) -> TimeRatio | None:
    """Compare two sides that were timed in turn; None = too few pairs for a verdict.

    Args:
        own: seconds of one side.
        base: seconds of the other side in the same rounds.
    """
    pairs = zip(own, base, strict=False)
    ratios = sorted(a / b for a, b in pairs if a > 0 and b > 0 and math.isfinite(a / b))
    if len(ratios) < MIN_PAIRS:
        return None
    low, high = ratios[0], ratios[-1]
    if len(ratios) > MAX_WHOLE:
        low, *_, high = quantiles(ratios, n=10)
    return TimeRatio(median(ratios), low, high, len(ratios))


def repeats_of(facts: Mapping[str, Any], name: str) -> list[float]:
    """Return the repeated timings that a trace keeps, [] where it has none.

    Args:
        facts: the trace's `model`, as a file may hold it.
        name: first_token, total, prefill ...
    """
    kept = facts.get(REPEATS)
    values = kept.get(name) if isinstance(kept, Mapping) else None
    if not isinstance(values, Sequence) or isinstance(values, str):
        return []
    numbers = [v for v in values[:MAX_PAIRS] if isinstance(v, (int, float))]
    return [float(v) for v in numbers if math.isfinite(v) and v > 0]


def with_repeats(trace: Trace, seconds: Mapping[str, Sequence[float]]) -> Trace:
    """Return a trace that keeps repeated timings of its plan, from `VLM.time_plans`."""
    return replace(trace, model={**trace.model, REPEATS: dict(seconds)})
