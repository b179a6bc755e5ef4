"""Density peaks: a cluster centre is dense and far from everything that is denser."""

from __future__ import annotations

from tokviz.torch_on_use import torch


def density_peaks(
    x: torch.Tensor,
    clusters: int,
    noise: torch.Tensor | None = None,
    neighbours: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cluster the rows of x with the centres' number given.

    Args:
        x: [n, d].
        clusters: 1 to n.
        noise: [n] added to the density; without it, of two equally dense rows the lower is denser.
        neighbours: how many neighbours (the row itself included) density looks at; default as many
            as there are clusters.

    Returns:
        centres [clusters], the strongest first, and the cluster of every row [n].
    """
    distances, density = densities(x, neighbours or clusters)
    density = density if noise is None else density + noise
    order = torch.sort(density, descending=True, stable=True).indices
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    denser = rank[None] < rank[:, None]
    apart = distances.masked_fill(~denser, float("inf")).min(1).values
    apart = torch.where(apart.isinf(), distances.max(), apart)
    strength = torch.sort(density * apart, descending=True, stable=True).indices
    centres = strength[:clusters]
    cluster = distances[:, centres].argmin(1)
    cluster[centres] = torch.arange(clusters)
    return centres, cluster


def densities(x: torch.Tensor, neighbours: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return distances [n, n] (Euclidean / sqrt(d)) and densities [n], float64."""
    distances = torch.cdist(x.double(), x.double()) / x.shape[1] ** 0.5
    nearest = distances.topk(min(neighbours, len(x)), largest=False).values
    return distances, torch.exp(-(nearest**2).mean(1))
