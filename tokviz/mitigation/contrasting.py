"""The arithmetic that all contrastive mitigations share."""

from __future__ import annotations

import math

from tokviz.torch_on_use import torch


def plausible(logits: torch.Tensor, beta: float) -> torch.Tensor:
    """Return which tokens are at least beta times as probable as the best one, bool [v].

    Args:
        logits: [v], or log-probabilities.
        beta: 0 to 1; 0 = all tokens.
    """
    cut = math.log(beta) if beta > 0 else -math.inf
    return logits >= logits.max(-1, keepdim=True).values + cut


def subtract(logits: torch.Tensor, other: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    """Return (1 + alpha) logits - alpha other, -inf where a token is not plausible.

    Args:
        logits: [v] of the run itself.
        other: [v] of the contrast branch.
        alpha: 0 = no contrast.
        beta: the cut of `plausible`.
    """
    mixed = (1 + alpha) * logits - alpha * other
    return mixed.masked_fill(~plausible(logits, beta), -math.inf)
