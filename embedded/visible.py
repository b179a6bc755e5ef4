"""Which visual tokens does a training step leave in, and where do they think they are?

Reduction methods keep salient tokens, or spread ones, or some of both, and either leave them at
their positions or pack them behind each other. A model that shall serve to compare them must have
met both, so every step draws a policy.
"""

import random
from dataclasses import dataclass

import torch
from torch import Tensor

COUNTS = (32, 48, 64, 64, 96, 128, 144, 192, 288)
"""Visual tokens per picture in a step that leaves some out."""


@dataclass(frozen=True)
class Policy:
    """What a step sees."""

    count: int
    """Visual tokens per picture."""
    bonus: float
    """How far patches on things go first: 1 before all others, 0 not at all."""
    repack: bool
    """Whether kept tokens move up to close the gaps."""


def draw_policy(rng: random.Random, whole: float, total: int) -> Policy:
    """Draw a policy.

    Args:
        rng: draws it.
        whole: share of the steps that see every token.
        total: visual tokens per picture.
    """
    if rng.random() < whole:
        return Policy(total, 0.0, False)
    count = rng.choice(COUNTS)
    # With few tokens drawn anywhere, things vanish, and the model would learn to guess.
    bonus = rng.choice((0.0, 0.4, 1.0)) if count >= 96 else rng.choice((0.4, 1.0))
    return Policy(count, bonus, rng.random() < 0.5)


def choose(cover: Tensor, policy: Policy) -> Tensor:
    """Draw the tokens to keep in ascending order, [pictures, count].

    Args:
        cover: thing on each patch, -1 for none, [pictures, n].
        policy: how to draw.
    """
    score = torch.rand(cover.shape) + policy.bonus * (cover >= 0)
    return score.topk(policy.count, dim=1).indices.sort(1).values


@dataclass(frozen=True)
class Front:
    """What stands in front of the turns."""

    embeddings: Tensor
    """[rows, f, d]."""
    positions: Tensor
    """[rows, f]."""
    visual: Tensor
    """Which of them are visual tokens, [f] bool."""

    @property
    def length(self) -> int:
        """Tokens in front of the turns."""
        return self.embeddings.shape[1]


def lay_front(
    before: Tensor, after: Tensor, features: Tensor, keep: Tensor, total: int, repack: bool
) -> Front:
    """Put the front together.

    Args:
        before: embeddings of "<s>USER: ", [s, d].
        after: embedding of the line break behind a picture, [1, d].
        features: kept visual tokens, [rows, pictures, k, d].
        keep: which they are, [rows, pictures, k].
        total: visual tokens of a whole picture.
        repack: number positions without gaps.
    """
    rows, pictures, count, _ = features.shape
    parts, places = [before.expand(rows, -1, -1)], [torch.arange(len(before)).expand(rows, -1)]
    visual = [torch.zeros(len(before), dtype=torch.bool)]
    at = len(before)
    for i in range(pictures):
        parts += [features[:, i], after.expand(rows, -1, -1)]
        inner = torch.arange(count).expand(rows, -1) if repack else keep[:, i]
        length = count if repack else total
        places += [at + inner, torch.full((rows, 1), at + length)]
        visual += [torch.ones(count, dtype=torch.bool), torch.zeros(1, dtype=torch.bool)]
        at += length + 1
    return Front(torch.cat(parts, 1), torch.cat(places, 1), torch.cat(visual))
