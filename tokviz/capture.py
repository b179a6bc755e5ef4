"""What to record during a run, and nothing more than was asked for."""

from __future__ import annotations

from dataclasses import dataclass

HEADS_LIMIT_BYTES = 2 * 2**20
"Per-head rows are stored only while they fit this; head means always are."


@dataclass(frozen=True)
class Capture:
    """Switches for the records of one run. Everything is a handful of rows, never a full map."""

    attention: bool = True
    "The softmax row that chose each answer token, every layer and head."
    readout: bool = True
    "Last hidden states, reduced to the words of prompt and answer (Token Activation Map)."
    sinks: bool = True
    "The residual stream at each layer's input, reduced to a few dimensions."
    tower: bool = True
    "[CLS] rows (or received attention) and norms in every tower layer."
    candidates: int = 5
    "Most probable next tokens stored for each answer token."

    @classmethod
    def nothing(cls) -> Capture:
        """Record the answer and its timings only."""
        return cls(attention=False, readout=False, sinks=False, tower=False, candidates=1)
