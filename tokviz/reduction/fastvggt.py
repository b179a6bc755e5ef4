"""FastVGGT: may later frames be sampled when the first one stays whole?"""

from typing import Annotated

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.destinations import cell_destinations, merge_into
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.spatial import grid_of


def destinations(
    frames: list[tuple[int, int]], cell: int, special: int = 0, seed: int = 33
) -> np.ndarray:
    """Return the tokens that others merge into, ascending.

    All of frame 0; of every other frame its special tokens and one random token per cell.

    Args:
        frames: (rows, cols) of the patches of each frame.
        cell: side of a square cell.
        special: tokens before the patches of each frame.
        seed: of the choice inside the cells.
    """
    rng, start, found = np.random.default_rng(seed), 0, []
    for number, (rows, cols) in enumerate(frames):
        patches = cell_destinations((rows, cols), (cell, cell), rng if number else None)
        inside = np.concatenate([np.arange(special), special + patches])
        length = special + rows * cols
        found.append(start + (inside if number else np.arange(length)))
        start += length
    return np.concatenate(found)


def _schedule(n: int, keep: int, layers: int, **options):
    return [Stage(layer, keep) for layer in range(layers)]


@method(
    "fastvggt",
    title="FastVGGT partition",
    place="tower",
    kind="merge",
    needs=("hidden",),
    optional=("crops", "grid", "index"),
    space="pre",
    paper="https://arxiv.org/abs/2509.02560",
    year=2025,
    code="mystorm16/FastVGGT",
    licence="none stated",
    removes=False,
    effect="unmerge",
    schedule=_schedule,
)
def fastvggt(
    signals, keep: int, *, cell: Annotated[int, Range(1, 8, 1)] = 2, seed: int = 33
) -> Reduction:
    """Keep the first frame whole, merge later ones into a token per cell, for attention only.

    For several images or crops that attend to each other: destinations are all tokens of the first
    frame and one random token of every 2 x 2 cell of the others; the rest joins its most similar
    destination (plain mean) and gets a copy of the result back. `keep` is the number of tokens
    inside attention; the published ratio merges nine tenths as far as there are sources.

    A single frame has no sources, so nothing can merge. The official code also sets a uniform
    tenth of the tokens aside, which can then appear twice; that is left out.
    """
    if "crops" in signals:
        frames = [(crop.rows, crop.cols) for crop in signals["crops"]]
    else:
        frames = [grid_of(signals)[0]]
    if len(frames) == 1 and keep < (signals.n or 0):
        raise InputError(
            "FastVGGT partition merges later frames into the first one that they attend to, and "
            "here the vision tower sees each image alone, so there is nothing to merge. Choose "
            "tomesd, which merges inside one image for attention only, or pass signals of several "
            "frames to tokviz.reduce."
        )
    return merge_into(signals, keep, destinations(frames, cell, seed=seed), "FastVGGT")
