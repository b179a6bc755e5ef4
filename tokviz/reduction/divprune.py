"""DivPrune: which tokens are as far from each other as possible?"""

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, method
from tokviz.reduction.parts.similarity import cosines


@method(
    "divprune",
    title="DivPrune",
    place="before",
    needs=("feats_post",),
    paper="https://arxiv.org/abs/2503.02175",
    year=2025,
    code="vbdi/divprune",
    licence="CC-BY-NC-4.0",
    published=(
        Published(
            "192 tokens",
            "re-run in the StackTok paper",
            {"GQA": 60.0, "MME": 1762, "POPE": 87.0, "TextVQA": 56.9},
        ),
        Published(
            "128 tokens",
            "re-run in the StackTok paper",
            {"GQA": 59.3, "MME": 1718, "POPE": 86.7, "TextVQA": 56.0},
        ),
        Published(
            "64 tokens",
            "re-run in the StackTok paper",
            {"GQA": 57.8, "MME": 1674, "POPE": 85.5, "TextVQA": 54.6},
        ),
    ),
)
def divprune(signals, keep: int) -> Reduction:
    """Keep the set whose two closest members are farthest apart, picked greedily.

    Distance is 1 - cosine of projected features. The first pick is the token whose nearest other
    token is farthest; each next one is the token farthest from everything picked (max-min).
    The official code can pick a token again: among exact duplicates it picks one twice and keeps
    fewer than asked. Here a token is picked once.
    """
    distance = 1 - cosines(signals["feats_post"])
    n = len(distance)
    np.fill_diagonal(distance, np.inf)
    order = [int(distance.min(0).argmax())]
    nearest = distance[order[0]].copy()
    for _ in range(keep - 1):
        nearest[order[-1]] = -np.inf
        order.append(int(nearest.argmax()))
        np.minimum(nearest, distance[order[-1]], out=nearest)
    return Reduction.select(order, n, order=order)
