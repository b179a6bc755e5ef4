"""Switches that say what a run records. The recording itself is in `tokviz.models`.

Attention rows: `models/decoder/attention_rows.py`; states of the prompt:
`models/decoder/prompt_records.py`; the vision tower: `models/tower/record_signals.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tokviz.errors import InputError
from tokviz.keywords import tells_fields

HEADS_MB = 80
"Default room for single heads: 64 words of LLaVA-1.5-7B take 76 MB."
LENS_WORDS = 5
"Default number of words of the logit lens."
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
"Array of a trace -> the switch that records it and is off by default."


@tells_fields
@dataclass(frozen=True)
class Capture:
    """What one run records. Only single rows and sums are recorded, never whole attention maps."""

    attention: bool = True
    "The softmax row that chose each answer token, every layer and head."
    readout: bool = True
    """Last hidden states, reduced to logits of the words of prompt and answer (Token Activation
    Map), to cosines of answer and visual tokens, and to the last state of the prompt."""
    sinks: bool = True
    "The residual stream at each layer's input, reduced to a few dimensions."
    tower: bool = True
    """[CLS] rows, norms and cosines with [CLS] in every tower layer; of a tower without [CLS] the
    attention that each patch receives, in the layer whose output becomes the features."""
    candidates: int = 5
    "Most probable next tokens stored for each answer token."
    lens: int = 0
    "Words that the logit lens reads at each visual token after each layer; 0 = no lens."
    flow: bool = False
    "Attention between the blocks of the prompt: the softmax of every row, only as sums."
    states: bool = False
    "Mean states of image and text and the rank of the visual states at each layer's input."
    heads_mb: float = HEADS_MB
    """Megabytes of single heads that a trace may hold: once of the language model, once of the
    vision tower. A longer answer has none; means over heads are always recorded."""
    controls: bool = False
    "The answer scored again with control images: four more forwards after the answer."
    tower_layers: bool = False
    """Received attention in every tower layer: it needs every row of every map, and costs several
    answers on a large picture."""

    def __post_init__(self) -> None:
        if not 0 <= self.heads_mb < math.inf:  # NaN is not >= 0 either
            raise InputError(f"heads_mb must be a number from 0, got {self.heads_mb}.")

    @property
    def heads_bytes(self) -> int:
        """Bytes of single heads that a trace may hold."""
        return int(self.heads_mb * 2**20)

    @classmethod
    def nothing(cls) -> Capture:
        """Return the switches that record only the answer and its timings."""
        return cls(attention=False, readout=False, sinks=False, tower=False, candidates=1)

    @classmethod
    def everything(cls) -> Capture:
        """Return the switches that record every array of the trace format."""
        return cls(tower_layers=True, lens=LENS_WORDS, flow=True, states=True, controls=True)

    @classmethod
    def of(cls, given: Capture | str | None) -> Capture:
        """Return a Capture for a Capture, "all", "nothing", or None = what the page records.

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
        """Return what the page records, and the switches that record these arrays."""
        wanted = {COSTLY[name] for name in arrays if name in COSTLY}
        return cls(
            lens=LENS_WORDS if "lens" in wanted else 0,
            flow="flow" in wanted,
            states="states" in wanted,
            controls="controls" in wanted,
        )
