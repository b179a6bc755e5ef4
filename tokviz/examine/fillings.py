"""What takes the place of removed tokens? The same map, with several fillings.

Removing tokens shifts the input itself: a shorter prompt, or patches that no picture has, may lower
the answer's probability whatever was removed (missingness bias: 2211.14646). So the curves are
drawn with real removal and with fillings, and a map is only as good as its worst filling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tokviz.analysis.blocks import Score
from tokviz.analysis.supplied import Progress
from tokviz.errors import InputError
from tokviz.examine.faithfulness import (
    RANDOM_ORDERS,
    Faithfulness,
    Memo,
    order_of,
    removal_curves,
    scaled_to,
)

FILLINGS = ("removal", "mean", "blurred", "blank")
"""removal: the tokens are gone. mean: the mean visual token. blurred, blank: the token at this
place of a blurred picture, and of one of a single colour."""
AT = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Fractions at which the curves are measured: few, since every filling takes its own forwards."""


@dataclass(frozen=True, eq=False)
class Filled:
    """A map's curves with one filling, and the gap of random orders with the same filling."""

    map: Faithfulness
    random_gaps: tuple[float, ...]
    none: float
    "Score with every token filled; comparable only within one filling."

    @property
    def beats_chance(self) -> bool:
        """True if the map's gap is larger than that of every random order."""
        return self.map.gap > max(self.random_gaps)


def fillings(
    scores: Mapping[str, Score],
    importance: np.ndarray,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Filled]:
    """Return the curves of a map with each filling.

    Args:
        scores: filling -> score: kept sets -> log-probability of the run's own answer when all
            other tokens are filled.
        importance: [n], higher = more important, n at least 1.
        seed: of the random orders, which are the same for all fillings.
        progress: called with (forwards done, forwards in all) for each filling in turn.

    Raises:
        InputError: the map is empty or holds NaN.
    """
    order, n = order_of(importance), len(importance)
    if not n:
        raise InputError("the run has no visual tokens to fill.")
    rng = np.random.default_rng(seed)
    chance = [rng.permutation(n) for _ in range(RANDOM_ORDERS)]
    return {name: _filled(Memo(s, n, progress), order, chance) for name, s in scores.items()}


def _filled(memo: Memo, order: np.ndarray, chance: list[np.ndarray]) -> Filled:
    none, full = memo([np.zeros(0, np.int64), np.arange(len(order))])
    scale = scaled_to(none, full)
    curves = [removal_curves(lambda kept: scale(memo(kept)), one, AT) for one in [order, *chance]]
    return Filled(curves[0], tuple(one.gap for one in curves[1:]), float(none))


def sentence(found: Mapping[str, Filled]) -> str:
    """Return what the fillings say together."""
    better = [name for name, one in found.items() if one.beats_chance]
    if len(better) == len(found):
        return "The map is better than chance with every filling."
    if not better:
        return "The map is no better than chance with any filling."
    worse = [name for name in found if name not in better]
    return (
        f"The map is better than chance with {', '.join(better)}, but not with "
        f"{', '.join(worse)}: what it seems to show may come from the way tokens were taken out."
    )
