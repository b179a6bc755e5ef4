"""Is a map faithful? Remove the tokens that it calls important and measure the answer.

A score is the log-probability of the run's own answer with only some visual tokens kept; tokens are
really removed. The curves are always compared with random orders, with a preference for the centre,
and with the same map with the sinks last: a map that is not better than these says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tokviz.analysis.blocks import Score
from tokviz.analysis.supplied import Progress, numbers
from tokviz.errors import InputError
from tokviz.trace.layout import PATCH, Layout

FRACTIONS = tuple(np.linspace(0, 1, 11).round(3).tolist())
SHARES = (0.01, 0.05, 0.10, 0.20, 0.50)
"Shares of tokens for comprehensiveness and sufficiency."
RANDOM_ORDERS = 3
BATCH = 8


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Scores of the answer when tokens are removed in the order of a map."""

    fractions: np.ndarray
    "[f], from 0 to 1."
    most_first: np.ndarray
    "[f], score with this fraction removed, most important first (MoRF, deletion)."
    least_first: np.ndarray
    "[f], the same with the least important first (LeRF); in reverse it is insertion."
    comprehensiveness: float
    "Mean loss when only the most important tokens are removed; higher is better."
    sufficiency: float
    "Mean loss when only the most important tokens are kept; lower is better."

    @property
    def insertion(self) -> np.ndarray:
        """[f], score with only this fraction of the most important tokens kept."""
        return self.least_first[::-1]

    @property
    def deletion_auc(self) -> float:
        """Area under `most_first`; lower is better."""
        return area(self.most_first, self.fractions)

    @property
    def insertion_auc(self) -> float:
        """Area under `insertion`; higher is better."""
        return area(self.insertion, self.fractions)

    @property
    def gap(self) -> float:
        """Area between the two curves (ABPC); higher is better, 0 = no better than chance."""
        return area(self.least_first, self.fractions) - self.deletion_auc


@dataclass(frozen=True, eq=False)
class Verdict:
    """The curves of a map, and of the orders that it must beat."""

    map: Faithfulness
    rivals: Mapping[str, Faithfulness]
    "random, centre, and without sinks if sinks are known."
    forwards: int
    full: float
    "Score with all tokens."
    none: float
    "Score with no visual token."
    random_gaps: tuple[float, ...] = field(default=())
    "Gap of each random order, which shows the spread by chance."

    @property
    def beats_chance(self) -> bool:
        """True if the map's gap is larger than that of every random order and of the centre."""
        return self.map.gap > max(*self.random_gaps, self.rivals["centre"].gap)

    def sentence(self) -> str:
        """Return the result in one sentence."""
        gap, chance = self.map.gap, self.rivals["random"].gap
        centre = self.rivals["centre"].gap
        numbers = f"(gap {gap:.2f}; random {chance:.2f}, centre {centre:.2f})"
        if self.beats_chance:
            return f"Removing what the map calls important hurts the answer most {numbers}."
        return f"The map does no better than a random order or the centre {numbers}."


class Memo:
    """A score that runs every kept set once, in batches."""

    def __init__(self, score: Score, n: int, progress: Progress | None = None) -> None:
        """Args: the score, the number of visual tokens, and the progress function."""
        self.score, self.n, self.progress = score, n, progress
        self.known: dict[bytes, float] = {}

    def __call__(self, kept: Sequence[np.ndarray]) -> np.ndarray:
        """Return the scores of kept sets, float64 [len(kept)]."""
        sets = [np.unique(np.asarray(tokens, np.int64)) for tokens in kept]
        new = {tokens.tobytes(): tokens for tokens in sets if tokens.tobytes() not in self.known}
        fresh, total = list(new.values()), len(self.known) + len(new)
        for start in range(0, len(fresh), BATCH):
            batch = fresh[start : start + BATCH]
            found = numbers(self.score(batch), len(batch))
            self.known |= {t.tobytes(): float(q) for t, q in zip(batch, found, strict=True)}
            if self.progress:
                self.progress(len(self.known), total)
        return np.array([self.known[tokens.tobytes()] for tokens in sets])


def area(values: np.ndarray, fractions: np.ndarray) -> float:
    """Return the area under a curve over fractions from 0 to 1 (trapezoids)."""
    return float(np.trapezoid(np.asarray(values, np.float64), np.asarray(fractions, np.float64)))


def order_of(importance: np.ndarray) -> np.ndarray:
    """Return tokens from most to least important; of equal ones the lower index first.

    Raises:
        InputError: the map holds NaN.
    """
    importance = np.asarray(importance, np.float64)
    if importance.ndim != 1 or np.isnan(importance).any():
        raise InputError("importance must be one number per visual token, without NaN.")
    return np.argsort(-importance, kind="stable")


def removal_curves(
    score: Score, order: np.ndarray, fractions: Sequence[float] = FRACTIONS
) -> Faithfulness:
    """Score the answer while tokens are removed in an order, and in the opposite order.

    Args:
        score: called once with all needed sets; wrap it in Memo to share forwards.
        order: [n], tokens from most to least important, n at least 1.
        fractions: 0 to 1; rounded to whole tokens, and 1 - x is added for every x.
    """
    n = len(order)
    counts = {round(fraction * n) for fraction in (0.0, 1.0, *fractions)}
    at = sorted(counts | {n - count for count in counts})
    shares = [max(1, round(share * n)) for share in SHARES]
    groups = [
        [order[k:] for k in at],
        [order[: n - k] for k in at],
        [order[k:] for k in shares],
        [order[:k] for k in shares],
        [order],
    ]
    found = score([np.sort(tokens) for group in groups for tokens in group])
    cuts = np.cumsum([len(group) for group in groups])[:-1]
    most, least, without_top, only_top, full = np.split(np.asarray(found, np.float64), cuts)
    return Faithfulness(
        np.array(at) / n, most, least, mean_loss(full, without_top), mean_loss(full, only_top)
    )


def mean_loss(full: np.ndarray | float, left: np.ndarray) -> float:
    """Return the mean of full - left: comprehensiveness, sufficiency."""
    return float(np.mean(full - np.asarray(left, np.float64)))


def centre_prior(layout: Layout) -> np.ndarray:
    """Return a map that prefers the middle of each tile, float64 [n]; 0 = middle, lower = edge."""
    rows = np.array([tile.rows for tile in layout.tiles])[layout.tile]
    cols = np.array([tile.cols for tile in layout.tiles])[layout.tile]
    y, x = (layout.row + 0.5) / rows - 0.5, (layout.col + 0.5) / cols - 0.5
    return np.where(layout.kind == PATCH, -np.hypot(x, y), -1.0)


def sinks_last(importance: np.ndarray, sinks: np.ndarray) -> np.ndarray:
    """Return a map in which sinks (bool [n]) come after everything else."""
    importance = np.asarray(importance, np.float64)
    return np.where(sinks, importance.min(initial=0) - 1, importance)


def check_map(
    score: Score,
    importance: np.ndarray,
    layout: Layout,
    *,
    sinks: np.ndarray | None = None,
    fractions: Sequence[float] = FRACTIONS,
    normalise: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Verdict:
    """Compare a map with random orders, the centre, and itself without sinks.

    Args:
        score: kept sets -> log-probability of the run's own answer.
        importance: [n], higher = more important.
        layout: the places of the tokens.
        sinks: bool [n], attention sinks, if they are known.
        fractions: of the tokens, as in `removal_curves`.
        normalise: 1 = all tokens, 0 = none, so that answers can be compared.
        seed: of the random orders.
        progress: called with (forwards done, forwards in all).

    Raises:
        InputError: the map holds NaN or is of another length.
    """
    n = layout.n
    if np.shape(importance) != (n,):
        raise InputError(f"the map is for {np.shape(importance)} tokens, the run has {n}.")
    if not n:
        raise InputError("the run has no visual tokens to remove.")
    memo = Memo(score, n, progress)
    rng = np.random.default_rng(seed)
    orders = {"map": order_of(importance), "centre": order_of(centre_prior(layout))}
    if sinks is not None and np.any(sinks):
        orders["without sinks"] = order_of(sinks_last(importance, sinks))
    orders |= {f"random {i}": rng.permutation(n) for i in range(RANDOM_ORDERS)}
    none, full = memo([np.zeros(0, np.int64), np.arange(n)])
    scale = scaled_to(none, full) if normalise else lambda q: q
    curves = {
        name: removal_curves(lambda kept: scale(memo(kept)), order, fractions)
        for name, order in orders.items()
    }
    chance = [curves.pop(f"random {i}") for i in range(RANDOM_ORDERS)]
    rivals = {"random": mean_of(chance)} | {k: v for k, v in curves.items() if k != "map"}
    gaps = tuple(one.gap for one in chance)
    return Verdict(curves["map"], rivals, len(memo.known), float(full), float(none), gaps)


def scaled_to(none: float, full: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return q -> (q - none) / (full - none); with no difference to divide by, q - none."""
    width = full - none
    return lambda q: (q - none) / (width if abs(width) > 1e-9 else 1.0)


def mean_of(found: Sequence[Faithfulness]) -> Faithfulness:
    """Return the mean of several curves over the same fractions."""
    return Faithfulness(
        found[0].fractions,
        np.mean([one.most_first for one in found], 0),
        np.mean([one.least_first for one in found], 0),
        float(np.mean([one.comprehensiveness for one in found])),
        float(np.mean([one.sufficiency for one in found])),
    )
