"""Merging into fixed destination tokens, one in every cell of the grid, as tomesd does."""

from __future__ import annotations

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.parts import bipartite
from tokviz.reduction.parts.grouping import merge_labels, original_numbers
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch


def cell_destinations(
    grid: tuple[int, int], cell: tuple[int, int], rng: torch.Generator | None
) -> np.ndarray:
    """Return one token of every whole cell of a grid, ascending; incomplete cells have none.

    Args:
        grid: (rows, cols) of the tokens, in raster order.
        cell: (rows, cols) of a cell, made smaller where the grid is.
        rng: chooses the token of each cell; None takes the top left one.
    """
    height, width = (min(a, b) for a, b in zip(cell, grid, strict=True))
    rows, cols = np.meshgrid(
        np.arange(grid[0] // height) * height,
        np.arange(grid[1] // width) * width,
        indexing="ij",
    )
    if rng is not None:
        inside = torch.randint(height * width, rows.shape, generator=rng).numpy()
        rows, cols = rows + inside // width, cols + inside % width
    return np.sort((rows * grid[1] + cols).reshape(-1))


def merge_into(
    signals: Signals,
    keep: int,
    destinations: np.ndarray,
    title: str,
    notes: tuple[str, ...] = (),
    *,
    aside: np.ndarray | None = None,
    compared: str = "hidden",
) -> Reduction:
    """Merge the sources most similar to a destination, in plain means, until `keep` are left.

    Output order: the sources that stay, most similar first, then the destinations.

    Args:
        signals: with the states that are compared.
        keep: tokens to keep.
        destinations: tokens that others join, ascending.
        title: of the method, for the error message.
        notes: of the reduction.
        aside: further tokens that are never merged away.
        compared: the signal [n, d] whose cosine is the similarity of tokens.

    Raises:
        InputError: there are more destinations than keep; the message has the smallest count.
    """
    n = signals.n or 0
    if keep >= n:
        return Reduction.identity(n)
    fixed = destinations if aside is None else np.union1d(destinations, aside)
    if keep < len(fixed):
        raise InputError(
            f"{title} never merges its {len(fixed)} destinations: "
            f"keep must be {len(fixed)} to {n} here, got {keep}."
        )
    target = torch.from_numpy(destinations)
    source = torch.from_numpy(np.setdiff1d(np.arange(n), destinations))
    best, partner = bipartite.cosine(signals[compared])[source][:, target].max(1)
    best[torch.from_numpy(np.isin(source, fixed))] = -torch.inf
    ranked = torch.sort(best, descending=True, stable=True).indices
    gone, stay = ranked[: n - keep], ranked[n - keep :]
    label = torch.empty(n, dtype=torch.long)
    label[source[stay]] = torch.arange(len(stay))
    label[target] = len(stay) + torch.arange(len(target))
    label[source[gone]] = len(stay) + partner[gone]
    return merge_labels(
        label,
        torch.ones(n),
        original_numbers(signals),
        order=source[gone],
        roles={"destination": target, "merged away": source[gone]},
        notes=notes,
    )
