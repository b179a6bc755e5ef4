"""How close a run came to the publication: one of three words, with reasons, as a trace holds it.

`tokviz.reduction.run_status` says which word a run earns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AS_PUBLISHED = "run as published"
RUN_DIFFERS = "decision as published, run differs"
STAND_IN = "stand-in"
WORDS: dict[str, str] = {
    AS_PUBLISHED: "every signal of the published form was supplied, and its effect and its "
    "positions were applied",
    RUN_DIFFERS: "the published rule decided, but something around it is not as published",
    STAND_IN: "something else took the place of the published rule or of what it reads",
}
"""What can be said of a run -> what that means."""


@dataclass(frozen=True)
class Status:
    """What can be said of one method, or one mitigation, in one run."""

    name: str
    "Its title."
    word: str
    "A key of WORDS."
    why: tuple[str, ...] = ()
    "Clauses; none for a run as published."

    @property
    def sentence(self) -> str:
        """The whole in one sentence."""
        reasons = f": {'; '.join(self.why)}" if self.why else ""
        return f"{self.name}: {self.word}{reasons}."

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"name": self.name, "word": self.word, "why": list(self.why)}


def with_mark(title: str, stand_in: bool) -> str:
    """Return a title as every list, lane and page shows it: a stand-in is marked as one."""
    return f"{title} ({STAND_IN})" if stand_in else title


def marked_title(entry: Any) -> str:
    """Return the marked title of a registered method or mitigation."""
    return with_mark(entry.title, not entry.verified)


def status_from(entry: Mapping[str, Any]) -> Status:
    """Return a status from its plain values, as `Status.as_json` gives them."""
    return Status(entry["name"], entry["word"], tuple(entry["why"]))
