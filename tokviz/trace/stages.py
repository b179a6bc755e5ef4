"""What was done to tokens and answers in a run: one record per stage, one for the mitigation."""

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
"""Why an answer ended -> what that means."""
CUT_OFF: dict[str, str] = {
    "length": "The answer was cut off after {}, the limit that was set: it has no end.",
    "stopped": "The answer was stopped after {}: it has no end.",
    "time": "The answer was cut off after {} by the time limit: it has no end.",
}
"""Why an answer has no end of its own -> the note about it, with room for the number of tokens."""
CUT_OFF_WORDS = {"length": "cut off", "stopped": "stopped", "time": "cut off by time"}
"""The same in a word or two, for tables and lines."""


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
    "What happened to the tokens left out; only remove and restart take them away for good."

    @property
    def removes(self) -> bool:
        """True when later stages see only what this one left."""
        return self.effect in ("remove", "restart")


@dataclass(frozen=True)
class MitigationRecord:
    """What was done to attention or logits in a run, besides removing tokens."""

    name: str
    options: Mapping[str, Scalar]
    kinds: tuple[str, ...]
    "attention, contrast, diagnostic."
    verified: bool = True
    "False: a stand-in for the published method."
    told: Mapping[str, Scalar | Sequence[Scalar]] = field(default_factory=dict)
    "Numbers, and lists of one number per answer token, that it measured on the way."
