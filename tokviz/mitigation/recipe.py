"""What a mitigation asks the run to do: its recipe.

A recipe holds an attention edit, a contrast, both or nothing. The edit and the contrast are plain
functions of tensors. Finding rows and columns, the contrast branch and its cache are the work of
`tokviz.models`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch

Rows = Literal["last", "after_image", "all"]
"""Which query rows of a prompt an edit changes; in a decode step it is always the new row."""


@dataclass
class EditContext:
    """What an edit knows of the call that it changes: one layer, r query rows, k keys.

    Keys are the rows that are alive in this layer: removed visual tokens have no column, and tokens
    merged into one have one column.
    """

    layer: int
    image: torch.Tensor
    "bool [k], keys that are visual tokens; at least one."
    answer: torch.Tensor
    "bool [k], keys that are tokens of the answer."
    visual_rows: torch.Tensor
    "bool [r], query rows that are visual tokens; all False while decoding."
    prefill: bool
    "True in the prefill, False in a decode step."
    phi: torch.Tensor | None
    "float [k], sink statistic at the layer's input; prefill only, and only if the edit needs it."
    width: int
    "Width of the language model."
    text: Callable[[], torch.Tensor]
    "Returns the softmax of all rows after the image [h, a, k] in this call."
    memory: dict[str, Any]
    "For the edit to store values of this layer between calls; empty at the layer's first call."
    measured: dict[str, Any]
    "Numbers and lists of numbers for the trace, one dict for the whole run."
    layers: int = 0
    "Number of layers of the language model."

    @property
    def told(self) -> dict[str, Any]:
        """Former name of `measured`; plugins may still use it."""
        return self.measured


@dataclass(frozen=True)
class AttentionEdit:
    """A change of attention in the language model, or a measurement of it."""

    change: Callable[[torch.Tensor, EditContext], torch.Tensor | None]
    """(logits [h, r, k], context) -> weights [h, r, k] that replace the softmax; None = no change.
    Logits are scaled and masked; those of masked keys are -inf or near the lowest float."""
    rows: Rows = "last"
    first_layer: int = 2
    "Layers before this one are not edited."
    last_layer_only: bool = False
    hides: bool = False
    "True = hidden tokens must not be read at all: a model that also reads them in layers without "
    "attention cannot run it."
    needs_sinks: bool = False
    "True = the edit reads `phi`; a model without sink dimensions cannot run it."


@dataclass(frozen=True)
class NoisedImage:
    """The same run on a noised image; all methods of the plan decide again on that image."""

    noise: Callable[[torch.Tensor], torch.Tensor]
    "Preprocessed pixel values -> noised ones of the same shape."


@dataclass(frozen=True)
class NoImage:
    """The prompt without its visual tokens, positions renumbered."""


@dataclass(frozen=True)
class FewTokens:
    """The prompt with a few of the visual tokens that the plan kept, positions renumbered."""

    count: int
    "Tokens of each image: those with the highest score."
    score: Callable[[Signals], torch.Tensor]
    "Signals of all tokens of one image -> [n]."
    needs: tuple[str, ...]
    "Signals of the vision tower that `score` reads."


@dataclass(frozen=True)
class EarlyExit:
    """No second forward: the last row's input embedding times the head, without a norm."""


@dataclass(frozen=True)
class EditedAttention:
    """The same tokens at the same places, all layers run, with an edit of attention."""

    edit: AttentionEdit


@dataclass(frozen=True)
class ZeroedTokens:
    """The same rows at the same places; some visual tokens are zeros."""

    choose: Callable[[torch.Tensor], torch.Tensor]
    """The last row's attention to the m visual tokens that enter layer 0, mean over heads, [l, m]
    -> bool [m], True where a token becomes zero."""


Branch = NoisedImage | NoImage | FewTokens | EarlyExit | EditedAttention | ZeroedTokens


@dataclass(frozen=True)
class Contrast:
    """Next-token logits combined with those of a branch, at every step."""

    branch: Branch
    combine: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
    "(logits [v], the branch's [v], step from 1) -> logits [v]; -inf forbids a token."


@dataclass(frozen=True)
class Retrace:
    """Visual tokens added to the MLP of one layer, at steps at which the next word is uncertain."""

    first: int | None
    last: int | None
    "A read-out counts behind layers after `first` and before `last`; None = 5 and 16 of 32."
    threshold: float
    "Entropy of the ten likeliest words, in units of log 10: 0 to 1."
    ratio: float
    "Share of the MLP's output that is replaced, 0 to 1."


@dataclass(frozen=True)
class HeadShift:
    """Outputs of some heads moved towards those that they have under another prompt."""

    alpha: float
    "How much of the difference is added."
    heads: float
    "Share of all heads, 0 to 1: those that look more at the picture under the other prompt."
    caption: str
    "The other prompt."


@dataclass(frozen=True)
class Recipe:
    """What to do to attention, heads, MLPs and logits; with nothing the answer is the plain one."""

    attention: AttentionEdit | None = None
    contrast: Contrast | None = None
    retrace: Retrace | None = None
    shift: HeadShift | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the vision tower's signals that the branch reads."""
        branch = self.contrast.branch if self.contrast else None
        return branch.needs if isinstance(branch, FewTokens) else ()

    @property
    def needs_sinks(self) -> bool:
        """True if the model's sink dimensions are needed."""
        return self.attention is not None and self.attention.needs_sinks

    @property
    def reads_early(self) -> bool:
        """True if the last row's input state is needed."""
        return self.contrast is not None and isinstance(self.contrast.branch, EarlyExit)
