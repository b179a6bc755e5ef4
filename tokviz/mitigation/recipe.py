"""What a mitigation asks the engine to do, in the engine's few verbs.

A recipe holds an attention edit, a contrast, both or nothing. The edit and the combination are
plain functions of tensors; finding rows and columns, second runs and caches are the engine's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from tokviz.reduction.signals import Signals

Rows = Literal["last", "after_image", "all"]
"""Which query rows of a prompt an edit sees; while decoding each of them means the new row."""


@dataclass
class Place:
    """Where in a run an edit finds itself: one layer, some query rows, all keys of its cache.

    Columns are what is alive in this layer: pruned visual tokens are not there, a merged one is one
    column.
    """

    layer: int
    image: torch.Tensor
    "bool [k], keys that are visual tokens; at least one."
    answer: torch.Tensor
    "bool [k], keys that are tokens of the answer."
    visual_rows: torch.Tensor
    "bool [r], query rows that are visual tokens; all False while decoding."
    prefill: bool
    "True while the prompt is read."
    phi: torch.Tensor | None
    "float [k], sink statistic at the layer's input; prefill only, and only if the edit needs it."
    width: int
    "Width of the language model."
    text: Callable[[], torch.Tensor]
    "Softmax of all rows after the image [h, a, k] in this call, computed when asked for."
    memory: dict[str, Any]
    "Empty at the first call of a layer, then whatever the edit keeps for this layer."
    told: dict[str, Any]
    "Numbers and lists of numbers for the reader, one dict for the whole run."


@dataclass(frozen=True)
class AttentionEdit:
    """A change of attention in the language model, or a look at it."""

    change: Callable[[torch.Tensor, Place], torch.Tensor | None]
    """(logits [h, r, k], place) -> weights [h, r, k] in place of their softmax; None = no change.
    Logits are scaled and masked; what may not be seen is -inf or near the lowest float."""
    rows: Rows = "last"
    first_layer: int = 2
    "Layers before this one are left alone."
    last_layer_only: bool = False
    needs_sinks: bool = False
    "Ask for `phi`; a model without sink dimensions then cannot run it."


@dataclass(frozen=True)
class NoisedImage:
    """The same run on a noised image: all methods of the plan decide again on what they see."""

    noise: Callable[[torch.Tensor], torch.Tensor]
    "Preprocessed pixel values -> noised ones of the same shape."


@dataclass(frozen=True)
class NoImage:
    """The prompt without its visual tokens, positions renumbered."""


@dataclass(frozen=True)
class FewTokens:
    """The prompt with a few of the visual tokens that are left, positions renumbered."""

    count: int
    "How many of each image, those with the highest score."
    score: Callable[[Signals], torch.Tensor]
    "Signals of all tokens of one image -> [n]."
    needs: tuple[str, ...]
    "Signals of the vision tower that `score` reads."


@dataclass(frozen=True)
class EarlyExit:
    """No second run: the last row's input embedding times the head, without a norm."""


Branch = NoisedImage | NoImage | FewTokens | EarlyExit


@dataclass(frozen=True)
class Contrast:
    """Next-token logits combined with those of a branch, at every step."""

    branch: Branch
    combine: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
    "(logits [v], the branch's [v], step from 1) -> logits [v]; -inf forbids a token."


@dataclass(frozen=True)
class Recipe:
    """What the engine is to do; nothing at all leaves the plain answer."""

    attention: AttentionEdit | None = None
    contrast: Contrast | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the vision tower's signals that the branch reads."""
        branch = self.contrast.branch if self.contrast else None
        return branch.needs if isinstance(branch, FewTokens) else ()

    @property
    def needs_sinks(self) -> bool:
        """True when the model's sink dimensions are needed."""
        return self.attention is not None and self.attention.needs_sinks

    @property
    def reads_early(self) -> bool:
        """True when the last row's input state is needed."""
        return self.contrast is not None and isinstance(self.contrast.branch, EarlyExit)
