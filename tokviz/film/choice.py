"""Which frames of a film are shown: so many, so many per second, or those at given seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tokviz.budget import whole_number
from tokviz.errors import InputError

MAX_FRAMES = 32
DEFAULT_FRAMES = 8
CHOICES = ("frames", "rate", "times")
"""The ways to choose the frames of a film."""
MAX_TEXT = 2000
"""Characters of a list of seconds."""


def request(
    frames: Any = None, rate: Any = None, times: Sequence[Any] | None = None
) -> dict[str, Any]:
    """Return which frames are asked for; raise InputError for what cannot be."""
    if sum(one is not None for one in (frames, rate, times)) > 1:
        raise InputError("choose frames by one of frames, rate and times.")
    if rate is not None:
        return {"rate": _number(rate, "rate", 0.001, 1000.0), "most": MAX_FRAMES}
    if times is not None:
        if isinstance(times, (str, bytes, Mapping)) or not 1 <= _length(times) <= MAX_FRAMES:
            raise InputError(f"times must be 1 to {MAX_FRAMES} numbers of seconds.")
        return {"times": [_number(time, "each of times", 0.0, 1e6) for time in times]}
    count = whole_number(DEFAULT_FRAMES if frames is None else frames)
    if count is None or not 1 <= count <= MAX_FRAMES:
        raise InputError(f"frames must be 1 to {MAX_FRAMES}, got {str(frames)[:40]}.")
    return {"count": count}


def arguments(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as the one argument of `open_film` that makes it."""
    if "count" in asked:
        return {"frames": asked["count"]}
    return {"rate": asked["rate"]} if "rate" in asked else {"times": tuple(asked["times"])}


def _length(values: Any) -> int:
    """Return how many values there are; 0 for what has no length."""
    try:
        return len(values)
    except TypeError:
        return 0


def _number(value: Any, what: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise InputError(
            f"{what} must be a number from {low:g} to {high:g}, got {str(value)[:40]}."
        )
    return number


def choice_words(choice: Mapping[str, Any]) -> dict[str, str]:
    """Return a choice of frames as texts, for a link or a form: "8", "0.5", "0,1.5"."""
    given = {name: value for name, value in choice.items() if value is not None}
    return {
        name: ",".join(brief(one) for one in (value if name == "times" else [value]))
        for name, value in given.items()
    }


def brief(number: float) -> str:
    """Return a number as the shortest text that reads back as the same: 2, 0.5."""
    return repr(float(number)).removesuffix(".0")


def read_choice(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the choice of frames that texts make, as `choice_words` writes them; {} for none.

    Raises:
        InputError: more than one choice, or one that cannot be made.
    """
    given: dict[str, Any] = {name: words[name] for name in CHOICES if words.get(name)}
    if "times" in given:
        given["times"] = re.split(r"[,;\s]+", str(given["times"])[:MAX_TEXT].strip(",; "))
    return arguments(request(**given)) if given else {}
