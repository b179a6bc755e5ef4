"""Chooses the next token of an answer from the model's logits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from tokviz.models.decoder.answer_rules import AnswerRules
from tokviz.models.not_finite import not_finite


class NextToken:
    """The logits of the next token, and what follows from them; read once per token."""

    def __init__(self, model: nn.Module) -> None:
        """Begin without logits; `model` is named when they are no numbers."""
        self.model = model
        self.logits: torch.Tensor | None = None
        "Float32 [v], the model's own, or what a contrast made of them."
        self.rules: AnswerRules | None = None
        "How the token is chosen; None = the most probable one."
        self._chosen: int | None = None

    def take(self, logits: torch.Tensor) -> None:
        """Take float32 logits [v]: the model's own, or what a contrast made of them."""
        self.logits, self._chosen = logits, None

    def chosen(self, ids: Sequence[int]) -> int:
        """Return the token.

        Args:
            ids: the answer so far, which rules may look at.

        Raises:
            ModelError: the model's logits are NaN or infinite.
        """
        if self._chosen is None:
            scores = self._scores(self.logits, ids)  # type: ignore[arg-type]
            largest, best = scores.max(-1)
            if self.rules is not None:
                largest = self.logits.max()  # type: ignore[union-attr]
            # one transfer for both: each transfer waits for the GPU. Float64 holds any id exactly.
            number, token = torch.stack([largest.double(), best.double()]).tolist()
            if not math.isfinite(number):  # the largest of numbers and NaN is NaN
                raise not_finite(self.model)
            self._chosen = int(token)
        return self._chosen

    def by_rules(self, logits: torch.Tensor, ids: Sequence[int]) -> int:
        """Return the token that the rules choose from logits [v] after the tokens of an answer."""
        return int(self._scores(logits, ids).argmax())

    def _scores(self, logits: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
        """Return the scores [v] whose highest is the next token."""
        return logits if self.rules is None else self.rules.scores(logits[None], [list(ids)])[0]
