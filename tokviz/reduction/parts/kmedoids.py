"""k-medoids with a deterministic start: clusters whose centres are tokens."""

from __future__ import annotations

import numpy as np

from tokviz.torch_on_use import torch


def kkz_start(x: torch.Tensor, distances: torch.Tensor, k: int) -> torch.Tensor:
    """Return k starting medoids [k]: the longest vector, then always the farthest token.

    Args:
        x: [n, d].
        distances: [n, n].
        k: 1 to n.
    """
    chosen = [int(x.norm(dim=1).argmax())]
    nearest = torch.full((len(x),), float("inf"))
    while len(chosen) < k:
        nearest = torch.minimum(nearest, distances[:, chosen[-1]])
        nearest[chosen[-1]] = -torch.inf  # never twice, not even among duplicates
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)


def kmedoids(
    x: torch.Tensor, distances: torch.Tensor, k: int, rounds: int = 100
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cluster the rows of x around k of them.

    Args:
        x: [n, d].
        distances: [n, n], symmetric.
        k: clusters, 1 to n.
        rounds: largest number of rounds of assigning and choosing medoids.

    Returns:
        medoids [k], ascending, and the cluster of every row [n]; every medoid is in its own.
    """
    medoids = kkz_start(x, distances, k).sort().values
    for _ in range(rounds):
        cluster = _assign(distances, medoids)
        inside = cluster[:, None] == cluster[None]
        moved = _cheapest((distances * inside).sum(1), cluster).sort().values
        if torch.equal(moved, medoids):
            break
        medoids = moved
    return medoids, _assign(distances, medoids)


def _assign(distances: torch.Tensor, medoids: torch.Tensor) -> torch.Tensor:
    """Return the nearest medoid of every row; ties: the lower number; a medoid has itself."""
    cluster = distances[:, medoids].argmin(1)
    cluster[medoids] = torch.arange(len(medoids))
    return cluster


def _cheapest(cost: torch.Tensor, cluster: torch.Tensor) -> torch.Tensor:
    """Return the row of each cluster with the lowest cost; ties: the lower row."""
    order = np.lexsort((cost.numpy(), cluster.numpy()))
    first = np.unique(cluster.numpy()[order], return_index=True)[1]
    return torch.from_numpy(order[first])
