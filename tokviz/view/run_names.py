"""What a run, its stages and its mitigation are called; a stand-in is marked as one.

The run itself says whether a method was a stand-in in it: CDPruner is one on a model without CLIP's
text side, and none on another. Where a trace does not say, the method's own declaration counts.
Decisions that were imported are somebody else's, and keep the name that their file gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from tokviz.trace import Trace
from tokviz.trace.status import STAND_IN, with_mark

POSITIONS = {
    "keep": ("kept", "the tokens that are left keep the position ids that they had"),
    "repack": ("renumbered", "positions are numbered anew, without gaps"),
    "mean": ("averaged", "a merged token has the mean of its members' position ids, rounded down"),
}
"""Position policy -> its word and what it means."""
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def registry(which: str) -> Mapping[str, Any]:
    """Return METHODS or MITIGATIONS: loaded when a name is asked for, since they need torch."""
    home = {"METHODS": "tokviz.reduction", "MITIGATIONS": "tokviz.mitigation"}[which]
    return getattr(import_module(home), which)  # type: ignore[no-any-return]


def stage_name(trace: Trace, method: str, most: int | None = None) -> str:
    """Return the title of a method that decided in a run, marked where it was a stand-in.

    Args:
        trace: the run.
        method: its name.
        most: letters of the title that are shown, not counting the mark; None = all.
    """
    methods = registry("METHODS")
    if trace.model.get("imported") or method not in methods:
        return method[:most]
    return _marked(trace, methods[method], most)


def mitigation_name(trace: Trace) -> str:
    """Return the title of a run's mitigation, marked where it is a stand-in; "" without one."""
    if trace.mitigation is None:
        return ""
    name, known = trace.mitigation.name, registry("MITIGATIONS")
    if name in known:
        return _marked(trace, known[name])
    return with_mark(name, not trace.mitigation.verified)


def forced_tokens(trace: Trace) -> int:
    """Return how many tokens at the beginning of an answer were forced."""
    told = trace.model.get("forced")
    return min(told, trace.t) if type(told) is int and told > 0 else 0


def is_own_answer(trace: Trace) -> bool:
    """Return whether a trace is the model's own answer about the picture with all its tokens."""
    plain = not trace.stages and trace.mitigation is None and not trace.model.get("picture")
    return plain and trace.reduction.m == trace.n and not forced_tokens(trace)


def run_name(trace: Trace) -> str:
    """Return a short label: the methods and the mitigation, or all tokens."""
    names = [trace.model.get("picture"), *(stage.method for stage in trace.stages)]
    done = [stage_name(trace, str(name)) for name in names if name] or ["all tokens"]
    return " + ".join(dict.fromkeys([*done, *filter(None, [mitigation_name(trace)])]))


def published_policy(method: str, options: Mapping[str, Any] = NO_OPTIONS) -> str:
    """Return in words what a method does to the position ids of the tokens that are left.

    Args:
        method: its name; "" for one that is not registered.
        options: as they were given; some versions have a policy of their own.
    """
    methods = registry("METHODS")
    if method not in methods:
        return ""
    entry = methods[method]
    if not entry.removes and entry.effect != "evict":
        return "kept (nothing is removed)"
    return POSITIONS[entry.published_positions(options)][0]


def _marked(trace: Trace, entry: Any, most: int | None = None) -> str:
    words = {one["name"]: one["word"] for one in trace.model.get("status") or ()}
    stood_in = words.get(entry.title) == STAND_IN if words else not entry.verified
    return with_mark(entry.title[:most], stood_in)
