"""FastVGGT: are samples of later frames enough if the first frame is complete?"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.crops import CropLayout
from tokviz.reduction.parts.destinations import cell_destinations, merge_into
from tokviz.torch_on_use import torch


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
    rng, start, found = torch.Generator().manual_seed(seed), 0, []
    for number, (rows, cols) in enumerate(frames):
        patches = cell_destinations((rows, cols), (cell, cell), rng if number else None)
        inside = np.concatenate([np.arange(special), special + patches])
        length = special + rows * cols
        found.append(start + (inside if number else np.arange(length)))
        start += length
    return np.concatenate(found)


def protected(n: int) -> np.ndarray:
    """Return the tenth of n tokens, evenly spaced, that the official code never merges away."""
    count = n // 10
    return np.arange(0, n, n // count)[:count] if count else np.zeros(0, np.int64)


@method(
    "fastvggt",
    title="FastVGGT partition",
    place="before",
    kind="merge",
    needs=("feats_post", "crops"),
    optional=("tile", "cell", "index"),
    images="together",
    paper="https://arxiv.org/abs/2509.02560",
    year=2025,
    several_images=True,
    code="mystorm16/FastVGGT",
    licence="none stated",
    verified=False,
)
def fastvggt(
    signals,
    keep: int,
    *,
    variant: Literal["paper", "code"] = "paper",
    cell: Annotated[int, Range(2, 8, 1)] = 2,
    seed: Annotated[int, Range(0, 2**32 - 1)] = 33,
) -> Reduction:
    """Keep the first frame complete; merge later frames into one token per cell and into it.

    Frames are the images of a prompt, and the crops of an image. Destinations are all tokens of the
    first frame and one random token of every 2 x 2 cell of the others; the rest joins the
    destination it is most similar to, in a plain mean, most similar first. The published ratio of
    nine tenths merges everything that can merge: this is the smallest `keep`, and the error message
    for a smaller one names it. A single frame has nothing to merge.

    A stand-in in where it acts, not in what it chooses: FastVGGT merges only for each global
    attention block of a 3D model, in which all frames attend to each other, and copies the result
    back. The vision towers here process each image and each crop alone, and in the language model a
    token must not attend to later ones, which the copy would allow. So frames are merged before the
    language model, where they first form one sequence, and stay merged.

    The code also protects a uniform tenth of the tokens: `variant="code"` never merges them away.
    Protected tokens that are destinations too are in its sequence twice; here once. It compares in
    bfloat16, where many pairs tie; here in float32. Its frames begin with five special tokens.
    """
    layout = CropLayout.of(signals)
    if len(layout.crops) == 1 and keep < len(layout.tile):
        raise InputError(
            "FastVGGT partition merges later frames into the first one, and this prompt has a "
            "single frame. Ask about several images at once, or choose a method that merges "
            "inside one image, such as tome or tomesd."
        )
    sizes = [crop.size for crop in layout.crops]
    number = np.cumsum([0, *sizes[:-1]])[layout.tile] + layout.cell
    targets = destinations([(crop.rows, crop.cols) for crop in layout.crops], cell, seed=seed)
    left = np.flatnonzero(np.isin(number, targets))
    aside = protected(len(layout.tile)) if variant == "code" else np.zeros(0, np.int64)
    return merge_into(signals, keep, left, "FastVGGT", aside=aside, compared="feats_post")
