"""DC²: are some tiles of a large picture so alike that one stands for all of them?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.parts.frames import by_place
from tokviz.reduction.parts.rows import Rows
from tokviz.reduction.parts.similarity import cosines
from tokviz.torch_on_use import torch

Groups = list[list[int]]
"""Numbers of crops that become one, the first of them first."""


@method(
    "dc2",
    title="DC²",
    place="before",
    kind="merge",
    needs=("feats_pre", "crops"),
    optional=("tile", "cell", "index"),
    space="pre",
    tiles="own",
    paper="https://arxiv.org/abs/2408.15556",
    year=2024,
    code="DreamMr/HR-Bench",
    licence="none stated",
    verified=False,
    adaptive=True,
    own_count=True,
)
def dc2(signals, keep: int, *, threshold: Annotated[float, Range(0, 2, 0.01)] = 0.1) -> Reduction:
    """Average the tiles of a picture that are alike, place by place.

    Tiles are grouped by average linkage of the cosine distances between their mean features, as
    long as a distance is at most `threshold`. The tiles of a group become their mean. A thumbnail
    stays as it is, and tiles of another size are never grouped. A budget below what that leaves
    goes on with the next nearest groups. The grouping is the official one.

    A stand-in: the publication divides a picture into quarters again and again, averages the pixels
    of quarters with similar [CLS] features, lets the model describe each of them, and answers with
    the descriptions; here the tokens of similar tiles are averaged, and nothing is described.
    """
    layout, table = CropLayout.of(signals), by_place(signals)
    features = signals["feats_pre"].float()
    there = [i for i in range(len(table)) if (table[i] >= 0).any()]
    means = torch.stack([features[row[row >= 0]].mean(0) for row in table[there]])
    sizes = {i: (layout.crops[i].rows, layout.crops[i].cols) for i in there}
    apart = 1 - cosines(means).astype(np.float64)
    for a, one in enumerate(there):
        for b, other in enumerate(there):
            if layout.thumbnail in (one, other) or sizes[one] != sizes[other]:
                apart[a, b] = np.inf
    groups = [
        [there[a] for a in group]
        for group in linked(apart, threshold, lambda g: tokens_of(table, there, g) <= keep)
    ]
    left = tokens_of(table, list(range(len(table))), groups)
    if left > keep:
        raise InputError(
            "DC² averages whole tiles of one size and leaves the thumbnail: keep must be "
            f"{left} or more here, got {keep}. Choose a method that takes single tokens, such as "
            "divprune."
        )
    return together(table, groups, len(features))


def linked(apart: np.ndarray, threshold: float, fits) -> Groups:
    """Return groups by average linkage: up to a distance, and on until they fit.

    Args:
        apart: [k, k], distances; infinite for two that never meet.
        threshold: the largest mean distance of two groups that become one.
        fits: groups -> whether they are few enough.
    """
    groups = [[number] for number in range(len(apart))]
    while len(groups) > 1:
        mean = np.array([[apart[np.ix_(a, b)].mean() for b in groups] for a in groups])
        np.fill_diagonal(mean, np.inf)
        one, other = sorted(divmod(int(mean.argmin()), len(groups)))
        if np.isinf(mean.min()) or (mean.min() > threshold and fits(groups)):
            break
        groups[one] = groups[one] + groups.pop(other)
    return groups


def tokens_of(table: np.ndarray, there: list[int], groups: Groups) -> int:
    """Return how many tokens groups of crops have left, by the numbers in `there`."""
    return sum(int((table[[there[i] for i in group]] >= 0).any(0).sum()) for group in groups)


def together(table: np.ndarray, groups: Groups, n: int) -> Reduction:
    """Return the reduction in which each group of crops is averaged place by place."""
    rows = Rows()
    for group in groups:
        for column in table[sorted(group)].T:
            tokens = column[column >= 0]
            if len(tokens):
                rows.add(tokens, np.full(len(tokens), 1 / len(tokens)), tokens[0])
    merged = [table[group].ravel() for group in groups if len(group) > 1]
    alike = np.concatenate([np.zeros(0, np.int64), *merged])
    return rows.reduction(n, roles={"alike": alike[alike >= 0]})
