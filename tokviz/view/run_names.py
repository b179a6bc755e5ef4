"""What a run, its stages and its mitigation are called; a stand-in is marked as one.

The run itself says whether a method was a stand-in in it: CDPruner is one on a model without CLIP's
text side, and none on another. Where a trace does not say, the method's own declaration counts.
Decisions that were imported are somebody else's, and keep the name that their file gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tokviz.mitigation import MITIGATIONS
from tokviz.reduction import METHODS
from tokviz.trace import Trace
from tokviz.trace.status import STAND_IN, with_mark

POSITIONS = {
    "keep": ("kept", "the tokens that are left keep the position ids that they had"),
    "repack": ("renumbered", "positions are numbered anew, without gaps"),
}
"""Position policy -> its word and what it means."""
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def stage_name(trace: Trace, method: str) -> str:
    """Return the title of a method that decided in a run, marked where it was a stand-in."""
    if trace.model.get("imported") or method not in METHODS:
        return method
    return _marked(trace, METHODS[method])


def mitigation_name(trace: Trace) -> str:
    """Return the title of a run's mitigation, marked where it is a stand-in; "" without one."""
    if trace.mitigation is None:
        return ""
    name = trace.mitigation.name
    if name in MITIGATIONS:
        return _marked(trace, MITIGATIONS[name])
    return with_mark(name, not trace.mitigation.verified)


def run_name(trace: Trace) -> str:
    """Return a short label: the methods and the mitigation, or all tokens."""
    done = [stage_name(trace, stage.method) for stage in trace.stages] or ["all tokens"]
    return " + ".join(dict.fromkeys([*done, *filter(None, [mitigation_name(trace)])]))


def published_policy(method: str, options: Mapping[str, Any] = NO_OPTIONS) -> str:
    """Return in words what a method does to the position ids of the tokens that are left.

    Args:
        method: its name; "" for one that is not registered.
        options: as they were given; some versions have a policy of their own.
    """
    if method not in METHODS:
        return ""
    entry = METHODS[method]
    if not entry.removes and entry.effect != "evict":
        return "kept (nothing is removed)"
    return POSITIONS[entry.published_positions(options)][0]


def _marked(trace: Trace, entry: Any) -> str:
    words = {one["name"]: one["word"] for one in trace.model.get("status") or ()}
    declared = not entry.verified
    return with_mark(entry.title, words.get(entry.title) == STAND_IN if words else declared)
