"""ZOO-Prune: keep tokens to which the projector is sensitive and that are not similar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.similarity import cosines
from tokviz.torch_on_use import torch


@method(
    "zoo_prune",
    title="ZOO-Prune",
    place="before",
    needs=("feats_pre", "feats_post", "projector"),
    paper="https://arxiv.org/abs/2509.24837",
    year=2025,
    code="AIM-SKKU/ZOO-Prune",
    licence="none stated",
)
def zoo_prune(
    signals,
    keep: int,
    *,
    directions: Annotated[int, Range(1, 256)] = 64,
    step: Annotated[float, Range(1e-4, 1)] = 0.01,
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
) -> Reduction:
    """Keep tokens by sensitivity x (1 - cosine to the closest kept token), greedily.

    Sensitivity is the mean length of the projector's central differences along random unit
    directions, min-max scaled. It costs 2 x directions runs of the projector on all tokens. The
    projector must have float32 input and output: the step is about one rounding unit of float16. A
    linear projector is equally sensitive everywhere, so only diversity decides.

    The official code adds the steps in float16 and draws new directions in every run; here they
    come from `seed` (torch's CPU generator) and the sum is in float32.
    """
    generator = torch.Generator().manual_seed(seed)
    features = signals["feats_pre"]
    random = torch.randn(directions, features.shape[1], generator=generator).to(features.device)
    random = random / random.norm(dim=1, keepdim=True)
    raw = sensitivity(signals["projector"], features, random, step).cpu().numpy()
    spread = raw.max() - raw.min()
    scaled = (raw - raw.min()) / spread if spread > 0 else np.ones_like(raw)
    order = sensitive_and_diverse(scaled, cosines(signals["feats_post"]), keep)
    return Reduction.select(order, len(raw), score=scaled, order=order)


def sensitivity(
    project: Callable[[torch.Tensor], torch.Tensor],
    features: torch.Tensor,
    directions: torch.Tensor,
    step: float,
) -> torch.Tensor:
    """Return the mean L2 length [n] of (project(x + step u) - project(x - step u)) / (2 step).

    Args:
        project: the projector, [n, d] to [n, e].
        features: [n, d].
        directions: [k, d], unit rows.
        step: length of a step.
    """
    total = torch.zeros(len(features), device=features.device)
    with torch.no_grad():
        for direction in step * directions:
            change = project(features + direction) - project(features - direction)
            total += change.float().norm(dim=1) / (2 * step)
    return total / len(directions)


def sensitive_and_diverse(score: np.ndarray, similarity: np.ndarray, k: int) -> list[int]:
    """Return k tokens, each with the largest score * (1 - largest cosine to those before).

    Args:
        score: [n], not negative.
        similarity: [n, n] cosines.
        k: how many.
    """
    order = [int(score.argmax())]
    closest = similarity[order[0]].copy()
    for _ in range(k - 1):
        worth = score * (1 - closest)
        worth[order] = -np.inf
        order.append(int(worth.argmax()))
        np.maximum(closest, similarity[order[-1]], out=closest)
    return order
