"""What a model predicted where it wrote each token: probability, entropy, the most probable tokens.

A step only keeps its logits. What follows from them is computed for several tokens at once, which
takes a tenth of the operations.
"""

from __future__ import annotations

import torch

WAITING = 16
"""Tokens whose logits are kept at most: 10 MB with a vocabulary of 150,000."""


class Predictions:
    """The predictions of one answer, token by token."""

    def __init__(self, count: int) -> None:
        """Begin with nothing; `count` of the most probable tokens are kept of each prediction."""
        self.count = count
        self.logits: list[torch.Tensor] = []
        "Float32 [v] of the last tokens, which are not evaluated yet."
        self.written: list[int] = []
        "The tokens that were written there."
        self.numbers: list[tuple[float, float]] = []
        "Probability and entropy of each token before them."
        self.best: list[tuple[torch.Tensor, torch.Tensor]] = []
        "Ids [r, k] and probabilities [r, k] of the most probable tokens, r tokens of an answer."

    def add(self, logits: torch.Tensor, token: int) -> None:
        """Take the logits [v] from which a token was chosen, or where it was written instead."""
        self.logits.append(logits)
        self.written.append(token)
        if len(self.written) == WAITING:
            self.evaluate()

    def evaluate(self) -> None:
        """Compute what follows from the logits that are kept, and drop them."""
        if not self.written:
            return
        logs = torch.stack(self.logits).log_softmax(-1)  # [r, v]
        shares = logs.exp()
        best = logs.topk(min(self.count, logs.shape[-1]))
        self.best.append((best.indices, best.values.exp()))
        written = torch.tensor(self.written, device=logs.device)[:, None]
        # one transfer for all numbers: each transfer waits for the GPU
        numbers = [shares.gather(-1, written)[:, 0], torch.special.entr(shares).sum(-1)]
        self.numbers += [tuple(row) for row in torch.stack(numbers, -1).tolist()]
        self.logits, self.written = [], []

    def probabilities(self) -> list[float]:
        """Return the probability of each token of the answer."""
        self.evaluate()
        return [chance for chance, _ in self.numbers]

    def entropies(self) -> list[float]:
        """Return the entropy of each prediction, in nats."""
        self.evaluate()
        return [entropy for _, entropy in self.numbers]

    def candidates(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids [t, k] and probabilities [t, k] of the most probable tokens; t > 0."""
        self.evaluate()
        ids, chances = zip(*self.best, strict=True)
        return torch.cat(ids), torch.cat(chances)
