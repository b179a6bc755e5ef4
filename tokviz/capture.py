"""What to record during a run, and nothing more than was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tokviz.errors import InputError

HEADS_LIMIT_BYTES = 2 * 2**20
"Per-head rows are stored only while they fit this; head means always are."
LENS_WORDS = 5
"Words of the logit lens where no number is asked for."
COSTLY = {
    "lens_ids": "lens",
    "lens_prob": "lens",
    "lens_peak": "lens",
    "lens_peak_layer": "lens",
    "flow": "flow",
    "layer_means": "states",
    "visual_rank": "states",
    "control_prob": "controls",
}
"Array of a trace -> the switch that is off unless it is asked for."


@dataclass(frozen=True)
class Capture:
    """Switches for the records of one run. Everything is a handful of rows, never a full map."""

    attention: bool = True
    "The softmax row that chose each answer token, every layer and head."
    readout: bool = True
    """Last hidden states, reduced to the words of prompt and answer (Token Activation Map), to the
    likeness of answer and visual tokens, and to the state that the answer begins from."""
    sinks: bool = True
    "The residual stream at each layer's input, reduced to a few dimensions."
    tower: bool = True
    "[CLS] rows (or received attention), norms and likeness to [CLS] in every tower layer."
    candidates: int = 5
    "Most probable next tokens stored for each answer token."
    lens: int = 0
    "Words that the logit lens reads at each visual token after each layer; 0 = no lens."
    flow: bool = False
    "Attention between the blocks of the prompt: every row's softmax, summed and not kept."
    states: bool = False
    "Mean states of image and text and the rank of the visual states at each layer's input."
    controls: bool = False
    "The answer scored again with control images: four more forwards after the answer."

    @classmethod
    def nothing(cls) -> Capture:
        """Record the answer and its timings only."""
        return cls(attention=False, readout=False, sinks=False, tower=False, candidates=1)

    @classmethod
    def everything(cls) -> Capture:
        """Record every array that a trace can hold."""
        return cls(lens=LENS_WORDS, flow=True, states=True, controls=True)

    @classmethod
    def of(cls, given: Capture | str | None) -> Capture:
        """Return a Capture as it is, "all" or "nothing" as one, None as what the page records.

        Raises:
            InputError: anything else.
        """
        named = {"all": cls.everything, "everything": cls.everything, "nothing": cls.nothing}
        if given is None or isinstance(given, Capture):
            return given or cls()
        if isinstance(given, str) and given in named:
            return named[given]()
        raise InputError(
            "capture must be a tokviz.Capture, 'all' or 'nothing', such as "
            f"Capture(lens=5), got {str(given)[:40]!r}."
        )

    @classmethod
    def holding(cls, arrays: Iterable[str]) -> Capture:
        """Return what the page records, and what else it takes for a trace to hold some arrays."""
        wanted = {COSTLY[name] for name in arrays if name in COSTLY}
        return cls(
            lens=LENS_WORDS if "lens" in wanted else 0,
            flow="flow" in wanted,
            states="states" in wanted,
            controls="controls" in wanted,
        )
