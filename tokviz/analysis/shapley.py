"""How much does each block of the image contribute to the answer, over all orders of removal?

Shapley values: a block's mean effect over all orders in which blocks can be added. Captum samples
orders; with few blocks it is cheaper to score every set, and then the values are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Annotated, Any

import numpy as np

from tokviz.analysis.blocks import (
    BATCH,
    Score,
    all_players,
    block_count,
    block_game,
    block_numbers,
    spread_over_tokens,
)
from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.analysis.supplied import Progress, plain
from tokviz.options import Range
from tokviz.trace import Trace


def forwards_needed(blocks: int, samples: int) -> int:
    """Return the number of forwards that the Shapley values of `blocks` blocks take."""
    sampled = samples * blocks + 1
    return min(2**blocks, sampled) if blocks < 31 else sampled


def exact_values(worth: np.ndarray) -> np.ndarray:
    """Return the exact Shapley values of a game.

    Args:
        worth: [2 ** players], worth of each set; bit p of the index says whether player p is in.

    Returns:
        float64 [players]; their sum is the worth of all minus the worth of none.
    """
    players = len(worth).bit_length() - 1
    sets = np.arange(len(worth))
    size = ((sets[:, None] >> np.arange(players)) & 1).sum(1)  # members of each set
    values = np.zeros(players)
    for player in range(players):
        without = sets[(sets >> player) & 1 == 0]
        # a set of k others precedes the player in k! (players - 1 - k)! of the players! orders
        weight = np.array([1 / (players * comb(players - 1, k)) for k in range(players)])
        gain = worth[without | (1 << player)] - worth[without]
        values[player] = (weight[size[without]] * gain).sum()
    return values


@analysis(
    "shapley",
    title="Shapley values of blocks",
    group="what the answer needs",
    needs=(),
    asks=("score",),
    may_ask=("progress",),
    forwards=lambda size, side, samples, **options: forwards_needed(
        block_count(size.layout, side), samples
    ),
    meaning="Each block's fair share of the answer's log-probability: the shares add up to what "
    "the whole image adds.",
    not_meaning="Sampled values carry noise, and sets of blocks that the model never saw in "
    "training count as much as natural ones.",
    exactness="sampled",
    cost="Samples x blocks + 1 forwards, or 2 to the power of the blocks where that is less; "
    "eight at a time. Memory: up to eight prefills.",
    paper="https://arxiv.org/abs/1705.07874",
    year=2017,
)
def shapley(
    trace: Trace,
    score: Score,
    progress: Progress | None = None,
    *,
    side: Annotated[int, Range(1, 16, 1)] = 4,
    samples: Annotated[int, Range(1, 500, 1)] = 25,
    seed: Annotated[int, Range(0, 2**31 - 1, 1)] = 0,
) -> Result:
    """Share the answer's log-probability among blocks of side x side tokens.

    The tokens are removed from the sequence, not masked. A block's value is shared evenly among
    its tokens.
    """
    block = block_numbers(trace.layout, side)
    count = block_count(trace.layout, side)
    total = forwards_needed(count, samples)
    exact = total < samples * count + 1
    game = block_game(score, block, total, progress)
    values = _all_sets(game, count) if exact else _sampled(game, count, samples, seed)
    note = "Exact: every set of blocks was scored." if exact else f"From {samples} sampled orders."
    parts = {
        "blocks": Part(values, "i", "value of each block"),
        "block": Part(block, "n", "block of each token; -1 = none"),
        "total": number(values.sum(), "what all blocks add together"),
        "forwards": number(total, "forwards that were run"),
    }
    return Result(spread_over_tokens(values, block), "n", parts, notes=(note,))


def _all_sets(game: Callable[[Any], Any], count: int) -> np.ndarray:
    import torch

    bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    worth = game(torch.as_tensor(bits, dtype=torch.float64))
    return exact_values(worth.numpy())


def _sampled(game: Callable[[Any], Any], count: int, samples: int, seed: int) -> np.ndarray:
    import torch
    from captum.attr import ShapleyValueSampling

    # captum draws its orders from torch's global generator: seed it here, restore it afterwards
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = ShapleyValueSampling(game).attribute(
            all_players(count), baselines=0, n_samples=samples, perturbations_per_eval=BATCH
        )
    return plain(found)[0].astype(np.float64)
