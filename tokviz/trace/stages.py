"""Records of what a run did: one per reduction stage, and one for the mitigation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tokviz.matrix import Reduction

Scalar = bool | int | float | str | None

FINISHES: dict[str, str] = {
    "end": "the model ended its answer",
    "length": "the limit of tokens was reached",
    "stopped": "somebody stopped the run",
    "time": "the time limit was reached",
}
"""Reason of the end of an answer -> its meaning."""
CUT_OFF: dict[str, str] = {
    "length": "The answer was cut off after {}, the limit that was set: it has no end.",
    "stopped": "The answer was stopped after {}: it has no end.",
    "time": "The answer was cut off after {} by the time limit: it has no end.",
}
"""Reason why an answer was cut off -> the note about it; {} = the number of tokens."""
CUT_OFF_WORDS = {"length": "cut off", "stopped": "stopped", "time": "cut off by time"}
"""The same in one to three words, for tables and lines."""


@dataclass(frozen=True)
class StageRecord:
    """One stage of token reduction that was carried out."""

    method: str
    place: str
    layer: int | None
    reduction: Reduction
    seconds: float = 0.0
    "Time of the decision alone."
    effect: str = "remove"
    "A key of EFFECTS: what happened to the tokens not kept; only remove and restart remove them."

    @property
    def removes(self) -> bool:
        """True if later stages have only the tokens that this one kept."""
        return self.effect in ("remove", "restart")


@dataclass(frozen=True)
class MitigationRecord:
    """The edit of attention or logits in a run."""

    name: str
    options: Mapping[str, Scalar]
    kinds: tuple[str, ...]
    "attention, contrast, diagnostic."
    verified: bool = True
    "False: a stand-in for the published method."
    told: Mapping[str, Scalar | Sequence[Scalar]] = field(default_factory=dict)
    "Numbers that it measured, and lists of one number per answer token (a key of the format)."
