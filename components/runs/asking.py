"""What did a visitor ask for? Reading what a browser or a program sent, before any model runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.runs.runs import MOST_LANES
from components.state import Settings
from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.plans import Mitigated, Plan, Step, chosen

MAX_NEW_TOKENS = 64
BY_HAND = "by hand"
"""Method name of a lane whose tokens the visitor chose, as in assets/js/compare/lanes.js."""
BY_HAND_TITLE = "chosen by hand"
MOST_TOKENS = 100_000
MAX_FORCED = 64
MOST_SAID = 60
"""Characters that a lane says of the words it was made to begin with."""


@dataclass
class Request:
    """What one visitor asked for, checked as far as possible without a model."""

    image: Any
    prompt: str
    model: str
    plans: list[Mapping[str, Any]] = field(default_factory=list)
    limit: int = MAX_NEW_TOKENS
    seconds: float = 300.0
    example: str = ""
    "Stored example whose picture and question these are, or nothing."
    source: str = ""
    "Stored example whose picture this is, or nothing."


def ask_about(
    settings: Settings,
    image: Any,
    prompt: str | None,
    model: str,
    plans: Sequence[Mapping[str, Any]] = (),
    example: str = "",
    source: str = "",
) -> Request:
    """Return a visitor's request within the server's limits."""
    limit, seconds = settings.max_new_tokens, settings.max_seconds
    return Request(image, prompt or "", model, list(plans), limit, seconds, example, source)


def read_plans(sent: Any) -> list[dict[str, Any]]:
    """Return the lanes that a browser sent, with everything unexpected left out.

    Raises:
        InputError: not a list of lanes, or too many.
    """
    if not isinstance(sent, list) or not all(isinstance(lane, Mapping) for lane in sent):
        raise InputError("the lanes must be a list of {method, keep, positions, options}.")
    by_hand = sum(lane.get("method") == BY_HAND for lane in sent)
    if len(sent) - by_hand > MOST_LANES or by_hand > 1:
        raise InputError(
            f"at most {MOST_LANES} methods and one choice by hand can be compared, got {len(sent)}."
        )
    return [_read_lane(lane) for lane in sent]


def _read_lane(lane: Mapping[str, Any]) -> dict[str, Any]:
    """Return one lane with what can be read of it."""
    options, extra = lane.get("options") or {}, lane.get("mitigation_options") or {}
    for given in (options, extra):
        if not isinstance(given, Mapping) or not all(isinstance(k, str) for k in given):
            raise InputError("the options of a lane must be names and values.")
    named = {name: lane.get(name) for name in ("method", "keep", "positions")}
    named |= {name: lane[name] for name in ("mitigation", "forced", "model") if lane.get(name)}
    if lane.get("prompt"):
        if not isinstance(lane["prompt"], str):
            raise InputError("the question of a lane must be a text.")
        named["prompt"] = lane["prompt"]
    if lane.get("mitigation") and extra:
        named["mitigation_options"] = dict(extra)
    if isinstance(lane.get("forcedText"), str):
        named["forcedText"] = lane["forcedText"][:MOST_SAID]
    if _whole(lane.get("layer")):
        named["layer"] = lane["layer"]
    if named["method"] == BY_HAND:
        named |= {"tokens": lane.get("tokens"), "n": lane.get("n")}
    return named | {"options": options}


def make_plan(lane: Mapping[str, Any]) -> Plan:
    """Return the plan of one lane; raises InputError with a sentence."""
    method, keep = lane["method"], lane["keep"]
    mitigation = read_mitigation(lane.get("mitigation"), lane.get("mitigation_options"))
    extra = Plan((), mitigation, read_forced(lane.get("forced")))
    if method == BY_HAND:
        return chosen(read_tokens(lane.get("tokens"), lane.get("n")), BY_HAND_TITLE).then(extra)
    if method == "":
        return extra
    if not isinstance(method, str):
        raise InputError("choose a method for this lane.")
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise InputError(f"keep must be a whole number of tokens from 1 on, got {str(keep)[:40]}.")
    step = Step(method, keep, lane["options"], lane.get("positions") or None)
    return Plan((step,)).then(extra)


def read_mitigation(name: Any, options: Mapping[str, Any] | None = None) -> Mitigated | None:
    """Return the mitigation that a browser names, or None; options not given are as published."""
    if not name:
        return None
    if not isinstance(name, str):
        raise InputError("a mitigation is given by its name.")
    return Mitigated(name, options or {})


def read_forced(ids: Any) -> tuple[int, ...]:
    """Return the token ids that an answer is to begin with."""
    if not ids:
        return ()
    if not isinstance(ids, list) or len(ids) > MAX_FORCED or not all(map(_whole, ids)):
        raise InputError(f"forced words must be at most {MAX_FORCED} token ids.")
    return tuple(ids)


def read_tokens(tokens: Any, n: Any) -> Reduction:
    """Return the reduction that keeps exactly the tokens that a browser names.

    Args:
        tokens: list of token numbers, 0 to n - 1, each once.
        n: number of visual tokens of the picture they were chosen on.

    Raises:
        InputError: anything else.
    """
    if not _whole(n) or not 1 <= n <= MOST_TOKENS:
        raise InputError("the number of visual tokens is missing from a choice by hand.")
    if not isinstance(tokens, list) or not tokens or not all(map(_whole, tokens)):
        raise InputError("choose at least one token by hand.")
    if len(set(tokens)) != len(tokens) or not 0 <= min(tokens) <= max(tokens) < n:
        raise InputError(f"tokens chosen by hand must be 0 to {n - 1}, each once.")
    return Reduction.select(tokens, n)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
