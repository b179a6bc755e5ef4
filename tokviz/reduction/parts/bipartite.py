"""Bipartite soft matching: every second token is matched with its most similar other token.

ToMe (arXiv 2210.09461) introduced it; DyMU, MCTF and ToFu are variants. Positions include the
tokens before the patches ([CLS], registers), because they decide which patches are even. Those
tokens are not in the matrices here, so nothing can merge with them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokviz.errors import InputError
from tokviz.reduction.parts.similarity import unit
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch


@dataclass(frozen=True)
class Edges:
    """The best edge of every A token (even positions) to a B token (odd positions)."""

    a: torch.Tensor
    "int64 [a], the A tokens in ascending order."
    b: torch.Tensor
    "int64 [b], the B tokens in ascending order."
    best: torch.Tensor
    "[a], similarity of each A token to its partner."
    partner: torch.Tensor
    "int64 [a], number of the partner inside b."
    prefix: int
    "Tokens before the patches; 0 leaves unmerged tokens in order of similarity, as published."

    @property
    def ranked(self) -> torch.Tensor:
        """int64 [a], numbers inside a from the most to the least similar; ties: lower first."""
        return torch.sort(self.best, descending=True, stable=True).indices

    def label(self, merged: torch.Tensor) -> torch.Tensor:
        """Return the output token of every token [n] when these A tokens join their partners.

        Args:
            merged: bool [a].

        Returns:
            int64 [n]; output order is unmerged A, then all of B.
        """
        ranked = self.ranked[~merged[self.ranked]]
        unmerged = ranked.sort().values if self.prefix else ranked
        label = torch.empty(len(self.a) + len(self.b), dtype=torch.long)
        label[self.a[unmerged]] = torch.arange(len(unmerged))
        label[self.b] = len(unmerged) + torch.arange(len(self.b))
        label[self.a[merged]] = len(unmerged) + self.partner[merged]
        return label


def key_cosines(signals: Signals) -> torch.Tensor:
    """Return the cosines [n, n] between this layer's keys, mean over heads."""
    return cosine(signals["keys"].mean(0))


def cosine(x: torch.Tensor) -> torch.Tensor:
    """Return the cosines [n, n] between the rows of x [n, d], on the CPU.

    Computed in float64 and rounded to float32: then equal rows always tie, independent of how the
    library splits the matrix product, and different rows stay different.
    """
    x = unit(x.double())
    return (x @ x.T).float().cpu()


def prefix_of(signals: Signals) -> int:
    """Return the number of tokens before the patches; 1 if the signals do not say."""
    return int(signals["prefix"]) if "prefix" in signals else 1


def halves(n: int, prefix: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the tokens at even and at odd positions, prefix tokens counted."""
    token = torch.arange(n)
    even = (token + prefix) % 2 == 0
    return token[even], token[~even]


def best_edges(similarity: torch.Tensor, prefix: int) -> Edges:
    """Return the best edge of every A token.

    Args:
        similarity: [n, n]; only entries from A to B are read.
        prefix: tokens before the patches.
    """
    a, b = halves(len(similarity), prefix)
    if not len(a) or not len(b):
        return Edges(a, b, torch.zeros(0), torch.zeros(0, dtype=torch.long), prefix)
    best, partner = similarity[a][:, b].max(1)  # ties: CPU max gives the first
    return Edges(a, b, best, partner, prefix)


def check_half(n: int, keep: int, title: str) -> int:
    """Return how many tokens one decision merges away, at most half of them.

    Raises:
        InputError: more than half; the message has the smallest count of one decision.
    """
    if n - keep > n // 2:
        raise InputError(
            f"{title} merges at most half of the tokens in one layer: "
            f"keep must be {n - n // 2} to {n} here, got {keep}."
        )
    return max(n - keep, 0)
