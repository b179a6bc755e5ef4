"""PruneVid, before the language model: scenes, their still places, and groups of similar tokens."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.density import density_peaks
from tokviz.reduction.parts.frames import by_place
from tokviz.reduction.parts.rows import Rows
from tokviz.reduction.parts.scenes import Scene, joined_scenes, runs_of
from tokviz.reduction.parts.shares import counts_by_ratio
from tokviz.reduction.parts.similarity import unit
from tokviz.torch_on_use import torch

NEIGHBOURS = 7
SMALL = 14
"""Parts of at most so many places are not grouped."""


@method(
    "prunevid",
    title="PruneVid",
    place="before",
    kind="merge",
    needs=("feats_post", "crops"),
    optional=("tile", "cell", "index"),
    images="together",
    frames=True,
    several_images=True,
    paper="https://arxiv.org/abs/2412.16117",
    year=2024,
    code="Visual-AI/PruneVid",
    licence="CC-BY-NC-SA-4.0",
    adaptive=True,
    rest="prunevid_stage",
)
def prunevid(
    signals,
    keep: int,
    *,
    still: Annotated[float, Range(-1, 1, 0.01)] = 0.8,
    scenes: Annotated[float, Range(0, 1, 0.05)] = 0.25,
) -> Reduction:
    """Cut the film into scenes, average their still places, and group what is alike.

    Frames are grouped by density peaks of their mean features, `scenes` groups per frame; a group's
    longest run of frames stays, and shorter runs join the longer neighbour. In a scene a place
    stands still when the mean cosine over all pairs of frames is above `still`; it is averaged over
    the frames. Still places, and the other places frame by frame, are grouped by density peaks, and
    each group becomes its mean. Parts of at most 14 places are not grouped unless the budget asks
    for it.

    As published the groups are half of the places; here that share follows from the budget, and
    what rounding leaves goes to the first parts. A film that stands still may have fewer tokens
    than the budget. The second part is "prunevid_stage". In a scene of a single frame nothing
    stands still; the official code divides by 0 there. It adds noise to densities, by which it
    settles ties; here the first token wins.
    """
    features = signals["feats_post"].float().cpu()
    table = by_place(signals)
    parts = [
        part
        for scene in scenes_of(features, table, scenes)
        for part in parted(features, table, scene, still)
    ]
    rows, sizes = Rows(), np.array([part.shape[1] for part in parts])
    for part, count in zip(parts, group_counts(sizes, keep), strict=True):
        group_places(rows, part, features[torch.as_tensor(part)].mean(0), int(count))
    averaged = np.concatenate(
        [np.zeros(0, int), *(part.ravel() for part in parts if len(part) > 1)]
    )
    return rows.reduction(len(features), roles={"standing still": averaged})


def scenes_of(features: torch.Tensor, table: np.ndarray, share: float) -> list[Scene]:
    """Return the scenes of a film, as (first, last) frame each.

    Args:
        features: [n, d].
        table: token at each place of each frame, -1 = none; every frame has one.
        share: groups per frame.
    """
    frames = torch.stack([features[row[row >= 0]].mean(0) for row in table])
    count = max(int(len(frames) * share), 1)
    _, group = density_peaks(frames, count, neighbours=NEIGHBOURS)
    return runs_of(joined_scenes(group.numpy()))


def parted(
    features: torch.Tensor, table: np.ndarray, scene: Scene, still: float
) -> list[np.ndarray]:
    """Return a scene's still places, tokens [frames, places], and each frame's others [1, k].

    Args:
        features: [n, d].
        table: token at each place of each frame, -1 = none.
        scene: first and last frame.
        still: the mean cosine from which a place stands still.
    """
    tokens = table[scene[0] : scene[1] + 1]
    count, whole = len(tokens), (tokens >= 0).all(0)
    standing = np.zeros(tokens.shape[1], bool)
    if count > 1 and whole.any():
        rows = unit(features[torch.as_tensor(tokens[:, whole])])  # [frames, places, d]
        together = torch.einsum("wlc,tlc->wtl", rows, rows)
        mean = (together.sum(1) - 1).sum(0) / (count * (count - 1))
        standing[whole] = (mean > still).numpy()
    moving = [row[~standing] for row in tokens]
    parts = [tokens[:, standing], *(row[row >= 0][None] for row in moving)]
    return [part for part in parts if part.size]


def group_counts(sizes: np.ndarray, keep: int) -> np.ndarray:
    """Return how many groups each part becomes: small parts stay as they are if the budget allows.

    Args:
        sizes: int [parts], places of each part.
        keep: the budget.
    """
    small = sizes <= SMALL
    if sizes[small].sum() > keep:
        small = np.zeros(len(sizes), bool)
    return counts_by_ratio(
        lambda ratio: np.where(small, sizes, (sizes * ratio).astype(np.int64)), keep
    )


def group_places(rows: Rows, part: np.ndarray, features: torch.Tensor, count: int) -> None:
    """Add one row per group of places: its mean, at the place of its density peak.

    Args:
        rows: gets the rows.
        part: tokens [frames, places]; a place is the mean over the frames.
        features: [places, d].
        count: number of groups.
    """
    places = np.arange(part.shape[1])
    centres, group = places, places
    if count < len(places):
        if not count:
            return
        found, labels = density_peaks(features, count, neighbours=NEIGHBOURS)
        centres, group = found.numpy(), labels.numpy()
    for number, centre in enumerate(centres):
        tokens = part[:, group == number].ravel()
        rows.add(tokens, np.full(len(tokens), 1 / len(tokens)), part[0, centre])
