"""Blocks of neighbouring visual tokens, the players of removal experiments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tokviz.analysis.supplied import Progress, numbers
from tokviz.trace.layout import PATCH, Layout

Score = Callable[[list[np.ndarray]], Any]
"Kept sets -> log-probability of the run's own answer, one number per set."
BATCH = 8
"Kept sets that are scored in one call."


def block_numbers(layout: Layout, side: int) -> np.ndarray:
    """Cut every tile into blocks of side x side tokens.

    Returns:
        int64 [n], block of each token, from 0 without gaps, in raster order; -1 for newlines and
        separators, which belong to no block.
    """
    patch = layout.kind == PATCH
    cell = np.stack([layout.tile, layout.row // side, layout.col // side], 1)[patch]
    out = np.full(layout.n, -1, np.int64)
    if len(cell):
        out[patch] = np.unique(cell, axis=0, return_inverse=True)[1].reshape(-1)
    return out


def block_count(layout: Layout, side: int) -> int:
    """Return how many blocks of side x side tokens there are."""
    return int(block_numbers(layout, side).max(initial=-1)) + 1


def block_game(
    score: Score, block: np.ndarray, total: int, progress: Progress | None = None
) -> Callable[[Any], Any]:
    """Turn a score into a torch function of players: 1 = the block is there, 0 = it is removed.

    Args:
        score: see ASKS; called with at most BATCH sets at a time.
        block: [n], block of each token; tokens of no block always stay.
        total: expected number of forwards, for the progress.
        progress: called with (forwards done, forwards in all) after every call of `score`.
    """
    import torch

    done = 0

    def play(players: Any) -> Any:
        nonlocal done
        present = players.detach().cpu().numpy() > 0.5
        # [players] -> [n]: newlines have block -1, which reads the appended True and so stays
        kept = [np.flatnonzero((block < 0) | np.append(row, True)[block]) for row in present]
        scores = []
        for start in range(0, len(kept), BATCH):
            batch = kept[start : start + BATCH]
            scores.append(numbers(score(batch), len(batch)))
            done += len(batch)
            if progress:
                progress(done, max(total, done))
        return torch.as_tensor(np.concatenate(scores), dtype=torch.float64)

    return play


def all_players(count: int) -> Any:
    """Return the players of the whole game, torch float64 [1, count] of ones."""
    import torch

    return torch.ones(1, count, dtype=torch.float64)


def spread_over_tokens(values: Sequence[float] | np.ndarray, block: np.ndarray) -> np.ndarray:
    """Give each token its block's value divided by the size of the block, float64 [n]."""
    size = np.bincount(block[block >= 0], minlength=len(values))
    share = np.asarray(values, np.float64) / np.maximum(size, 1)
    # block -1 reads the appended 0
    return np.where(block >= 0, np.append(share, 0.0)[block], 0.0)
