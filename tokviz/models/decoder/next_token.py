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
        "float32 [v], the model's own, or what a contrast made of them."
        self.rules: AnswerRules | None = None
        "How the token is chosen; None = the most probable one."
        self.log_probabilities: torch.Tensor = torch.empty(0)
        "[v], of the logits that `chosen` read last."
        self._finite: torch.Tensor | None = None
        self._read_from: torch.Tensor | None = None
        self._chosen = (0, 0.0, 0.0)

    def take(self, logits: torch.Tensor) -> None:
        """Take the model's own float32 logits [v]."""
        self.logits, self._finite = logits, torch.isfinite(logits).all()

    def chosen(self, ids: Sequence[int]) -> tuple[int, float, float]:
        """Return the token, its probability and the entropy in nats.

        Args:
            ids: the answer so far, which rules may look at.

        Raises:
            ModelError: the model's logits are NaN or infinite.
        """
        if self._read_from is not self.logits:
            self._read_from = self.logits
            self.log_probabilities = logs = self.logits.log_softmax(-1)  # type: ignore[union-attr]
            best = self._scores(self.logits, ids).argmax()  # type: ignore[arg-type]
            entropy = -(logs.exp() * logs.clamp_min(-1e4)).sum()
            # gather, not logs[best]: a 0-d index would cause a transfer to the host of its own
            chance = logs.gather(-1, best[None])[0].exp()
            finite = self._finite.to(logs.device).double()  # type: ignore[union-attr]
            # one transfer for all four numbers: each transfer waits for the GPU
            found = torch.stack([best.double(), finite, chance.double(), entropy.double()])
            token, whole, *numbers = found.tolist()
            if not whole or math.isnan(numbers[0]):
                raise not_finite(self.model)
            self._chosen = (int(token), *numbers)
        return self._chosen

    def by_rules(self, logits: torch.Tensor, ids: Sequence[int]) -> int:
        """Return the token that the rules choose from logits [v] after the tokens of an answer."""
        return int(self._scores(logits, ids).argmax())

    def _scores(self, logits: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
        """Return the scores [v] whose highest is the next token."""
        return logits if self.rules is None else self.rules.scores(logits[None], [list(ids)])[0]
