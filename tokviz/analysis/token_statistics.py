"""What are visual tokens like, over a folder of images?

Norms, near-duplicates, and how often each kind of token occurs: tokens are clustered by direction,
and the sizes of the clusters are compared with Zipf's law. The innovation curve says how soon a new
picture brings nothing new ("Analyzing The Language of Visual Tokens", arXiv 2411.05001). The
publication counts the codes of discrete tokenizers, and groups of up to four of them; here a kind
is a cluster, and single tokens are counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.analysis.supplied import plain
from tokviz.analysis.uncertainty import entropy_nats
from tokviz.errors import InputError
from tokviz.options import Range, fitted
from tokviz.trace import Trace

KINDS = 64
ROUNDS = 10
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def zipf_fit(counts: np.ndarray) -> tuple[float, float]:
    """Fit log count = a - s log rank by least squares.

    Args:
        counts: how often each kind occurs, any order; zeros are left out.

    Returns:
        The exponent s and the share of the variance that the line explains (NaN for under three
        kinds; 1 where all counts are equal).
    """
    sizes = np.sort(counts[counts > 0])[::-1].astype(np.float64)
    if len(sizes) < 3:
        return float("nan"), float("nan")
    x, y = np.log(np.arange(1, len(sizes) + 1)), np.log(sizes)
    x, spread = x - x.mean(), y - y.mean()
    slope = (x @ spread) / (x @ x)
    left = ((spread - slope * x) ** 2).sum()
    whole = (spread**2).sum()
    return float(-slope), float(1 - left / whole) if whole > 0 else 1.0


def duplicate_share(features: np.ndarray, threshold: float) -> float:
    """Return the share of tokens [n, d] whose cosine with an earlier one reaches the threshold."""
    unit = _unit(features)
    alike = np.tril(unit @ unit.T, -1).max(1, initial=-1) >= threshold
    return float(alike.mean()) if len(alike) else 0.0


def cluster_directions(features: np.ndarray, clusters: int) -> np.ndarray:
    """Return a cluster id per token [n] by spherical k-means.

    The first centres are tokens far from each other, without any random choice, so that the same
    features always give the same clusters.
    """
    unit = _unit(features)
    chosen = [0]
    nearest = unit @ unit[0]  # [n], cosine with the most similar centre so far
    while len(chosen) < min(clusters, len(unit)):
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, unit @ unit[chosen[-1]])
    centres = unit[chosen]
    ids = (unit @ centres.T).argmax(1)
    for _ in range(ROUNDS):
        sums = np.zeros_like(centres)
        np.add.at(sums, ids, unit)
        # an empty cluster keeps its centre
        centres = np.where(np.abs(sums).sum(1, keepdims=True) > 0, _unit(sums), centres)
        moved = (unit @ centres.T).argmax(1)
        if (moved == ids).all():
            break
        ids = moved
    return ids


def innovation(present: np.ndarray) -> np.ndarray:
    """Return how many kinds are met in 1, 2, ... pictures, mean over all orders of the pictures.

    Args:
        present: bool [pictures, kinds], whether a picture has the kind.

    Returns:
        float64 [pictures], rising to the number of kinds that are in any picture.
    """
    pictures = len(present)
    holders = present.sum(0)
    missed, curve = np.ones(present.shape[1]), []
    for drawn in range(pictures):
        # a kind is missed when each picture drawn is one of the others: (P - h - d) / (P - d)
        missed = missed * np.maximum(pictures - holders - drawn, 0) / (pictures - drawn)
        curve.append((1 - missed)[holders > 0].sum())
    return np.array(curve)


@analysis(
    "token_statistics",
    title="Visual tokens over a folder",
    group="many pictures",
    needs=(),
    asks=("folder",),
    meaning="How often each kind of visual token occurs, most frequent first: a steep fall means "
    "that a few kinds (background) fill most of the images.",
    not_meaning="Kinds are clusters of directions in feature space, not concepts; their number "
    "is chosen, not found.",
    exactness="heuristic",
    cost="One pass of the vision tower per image. Memory: the features of all images.",
    paper="https://arxiv.org/abs/2411.05001",
    year=2024,
)
def token_statistics(
    trace: Trace | None,
    folder: Iterable[Any],
    *,
    kinds: Annotated[int, Range(2, 1024, 1)] = KINDS,
    alike: Annotated[float, Range(0.5, 1, 0.01)] = 0.95,
) -> Result:
    """Count kinds of visual tokens over many images, with near-duplicates, Zipf fit and innovation.

    Two tokens of one image are near-duplicates when their cosine is at least `alike`. `innovation`
    is the number of kinds met in the first one, two, ... pictures, mean over all their orders:
    where it is flat, another picture brings nothing new. `new` is what the last picture adds.
    """
    images = [plain(features) for features in folder]
    if not images or not sum(len(image) for image in images):
        raise InputError("the folder holds no visual tokens.")
    everything = np.concatenate(images)
    norms = np.linalg.norm(everything, axis=1)
    why = f"there are {len(everything)} tokens"
    count, notes = fitted("kinds", kinds, KINDS, len(everything), why)
    kind = cluster_directions(everything, count)
    picture = np.repeat(np.arange(len(images)), [len(image) for image in images])
    table = np.zeros((len(images), int(kind.max()) + 1), np.int64)
    np.add.at(table, (picture, kind), 1)
    met = innovation(table > 0)
    counts = table.sum(0)
    counts = np.sort(counts[counts > 0])[::-1]
    exponent, fit = zipf_fit(counts)
    duplicates = np.array([duplicate_share(image, alike) for image in images])
    share = counts / counts.sum()
    parts = {
        "norms": Part(np.quantile(norms, QUANTILES), "f", "quantiles of the norm"),
        "duplicates": Part(duplicates, "j", "share of near-duplicates in each image"),
        "entropy": number(entropy_nats(share) / np.log(2), "bits per kind"),
        "exponent": number(exponent, "Zipf exponent: 1 in natural language"),
        "fit": number(fit, "share of the variance that Zipf's law explains"),
        "innovation": Part(met, "j", "kinds met in so many pictures, mean over all their orders"),
        "new": number(
            met[-1] - met[-2] if len(met) > 1 else met[-1], "kinds that the last picture adds"
        ),
    }
    labels = {"f": ("smallest", "25 %", "median", "75 %", "largest")}
    return Result(counts, "i", parts, labels, notes=notes)


def _unit(x: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(norm > 0, norm, 1)
