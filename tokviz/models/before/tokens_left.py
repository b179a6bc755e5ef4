"""The current visual tokens of a plan in progress, and their division into images or crops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tokviz.matrix import Reduction
from tokviz.models.families.family import Family
from tokviz.models.prepared import Prepared
from tokviz.models.tower.vision import Vision
from tokviz.plans import Step
from tokviz.trace.layout import PATCH, Layout
from tokviz.trace.stages import StageRecord


@dataclass(frozen=True)
class TokenPart:
    """Tokens on which a method decides separately: those of an image or of one of its crops."""

    image: int
    tiles: tuple[int, ...]
    "Numbers of its crops in the layout."
    tokens: np.ndarray
    "Places among the current tokens, ascending; patches only."


class TokensLeft:
    """The current tokens, their features, and the reductions so far."""

    def __init__(self, family: Family, model: nn.Module, prepared: Prepared, shared: Vision):
        """Begin with every token, encoded once for all lanes."""
        self.family, self.model, self.prepared = family, model, prepared
        self.layout: Layout = prepared.asked.layout
        self.vision = shared
        self.pre, self.features = shared.pre, shared.features
        self.one_patch_each = shared.sources.one_patch_each
        self.since = Reduction.identity(self.layout.n)
        "The reduction since the tower: from the tokens in `vision` to the current tokens."
        self.encoded = np.arange(self.layout.n)
        "Original number of each token in `vision`."
        self.encode_seconds, self.decide_seconds = shared.seconds, 0.0
        self.whole = Reduction.identity(self.layout.n)
        self.records: list[StageRecord] = []
        self.supplied: dict[str, set[str]] = {}
        "Method -> names of the signals that its decisions were given."
        self.members: np.ndarray | None = None
        "[m, k] original tokens whose positions each token that is left has; None = its own."
        self.scores: dict[str, np.ndarray] = {}
        "Method -> the score that it gave to each original token, NaN where it gave none."
        self.moved: dict[str, str] = {}
        "Method -> where it decides instead, in a decoder with layers without attention."
        self.notes: list[str] = []
        "Sentences about how the plan was carried out."

    def text_rows(self) -> np.ndarray:
        """Return the rows of the prompt that are not visual tokens."""
        return np.setdiff1d(np.arange(len(self.prepared.asked.prompt_ids)), self.layout.position)

    def every_feature(self) -> tuple[torch.Tensor, ...]:
        """Return all features that are reduced with the tokens, [m, d] each."""
        return (self.features.tokens, *self.features.extra)

    def parts(self, by_tile: bool = False) -> list[TokenPart]:
        """Return the current tokens image by image, or crop by crop.

        A crop without tokens is left out; newlines belong to no part.
        """
        tiles = self.layout.tiles
        # [n] crop of each token, -1 for newlines -> [m], of the current tokens
        owner = np.where(self.layout.kind == PATCH, self.layout.tile, -1)[self.whole.position]
        own = [tuple(i for i, t in enumerate(tiles) if t.image == image)
               for image in range(len(self.layout.sizes))]  # fmt: skip
        if by_tile:
            own = [(i,) for numbers in own for i in numbers if (owner == i).any()]
        return [
            TokenPart(tiles[numbers[0]].image, numbers, np.flatnonzero(np.isin(owner, numbers)))
            for numbers in own
        ]

    def everything(self) -> TokenPart:
        """Return the current patch tokens of all images as one part."""
        patch = self.layout.kind[self.whole.position] == PATCH
        return TokenPart(0, tuple(range(len(self.layout.tiles))), np.flatnonzero(patch))

    def before_steps(self, part: TokenPart) -> np.ndarray:
        """Return which of the tokens in `vision` belong to a part, without newlines."""
        patch = self.layout.kind[self.encoded] == PATCH
        return np.flatnonzero(np.isin(self.layout.tile[self.encoded], part.tiles) & patch)

    def gave(self, step: Step, names: Iterable[str]) -> None:
        """Remember which signals a step's decision was given."""
        self.supplied.setdefault(step.method, set()).update(names)

    def keep_score(self, step: Step, done: Reduction) -> None:
        """Remember the score of a step's decision on the tokens that are left, before it acts."""
        if done.score is not None:
            found = np.full(self.layout.n, np.nan, np.float32)
            found[self.whole.position] = done.score
            self.scores[step.method] = found

    def keep_members(self, step: Step, done: Reduction) -> None:
        """Remember, before it acts, whose positions a decision gives to each token."""
        spread = step.entry.member_positions if step.entry else None
        if spread is not None and step.position_policy == "keep":
            self.members = self.whole.position[spread(done)]
        elif self.members is not None:
            self.members = self.members[done.position]

    def note(self, step: Step, done: Reduction, seconds: float) -> None:
        """Record a stage that was carried out."""
        name = step.method
        effect = "remove" if step.entry is None else step.entry.effect
        effect = "remove" if effect == "restart" else effect
        self.records.append(StageRecord(name, step.place, None, done, seconds, effect))
        self.whole = self.whole.then(done) if effect == "remove" else self.whole
        self.decide_seconds += seconds
