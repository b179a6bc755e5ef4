"""Deciding in each image or crop: splitting the budget, and joining the decisions again.

Newline and separator tokens are no candidates and keep does not count them. Official
implementations differ (VisionZip drops them, GlobalCom² keeps all of them, DivPrune treats them as
candidates). Here a newline is kept if a token of its row is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.trace.layout import NEWLINE, PATCH, Layout


def split_budget(keep: int, sizes: Sequence[int], unit: str) -> list[int]:
    """Split a budget over images or crops in proportion to their tokens, at least one each.

    Args:
        keep: tokens to keep in all.
        sizes: tokens of each image or crop.
        unit: "image" or "crop", for the message.

    Raises:
        InputError: too few for one token each.
    """
    if keep < len(sizes):
        raise InputError(f"keep must be at least one token per {unit} ({len(sizes)}), got {keep}.")
    split = [max(keep * size // sum(sizes), 1) for size in sizes]
    growing = [i for i, size in enumerate(sizes) if split[i] < size]
    for i in growing[: max(keep - sum(split), 0)]:  # the rest of rounding down, one token each
        split[i] += 1
    while (
        sum(split) > keep
    ):  # small parts got one token more than their share: take from the largest
        split[split.index(max(split))] -= 1
    return split


def with_newlines(
    layout: Layout,
    original: np.ndarray,
    parts: Sequence[Reduction],
    tokens: Sequence[np.ndarray],
    left: np.ndarray,
) -> tuple[Reduction, np.ndarray, str | None]:
    """Join decisions into one reduction, with the newlines of rows that still have a token.

    Args:
        layout: of all tokens.
        original: number in the layout of each current token.
        parts: the reduction of each part's tokens.
        tokens: per part, the places of its tokens among the current tokens.
        left: places of all patch tokens that are kept.

    Returns:
        The joint reduction, the places of the newlines and separators that stay, and a sentence
        about them; None if the prompt has none.
    """
    structural = np.flatnonzero(layout.kind[original] != PATCH)
    if not len(structural):
        return side_by_side(parts, tokens), structural, None
    stay = followers(layout, original, structural, left)
    parts = [*parts, Reduction.select(stay, len(structural))]
    note = (
        f"{len(stay)} of {len(structural)} newline tokens stay, those of rows that still have a "
        "token; keep does not count them."
    )
    return side_by_side(parts, [*tokens, structural]), structural[stay], note


def followers(
    layout: Layout, original: np.ndarray, structural: np.ndarray, left: np.ndarray
) -> np.ndarray:
    """Return which newline and separator tokens stay if the tokens `left` are kept.

    A newline belongs to the row of the patch before it; separators always stay.

    Args:
        layout: of all tokens.
        original: number in the layout of each current token.
        structural: places of newlines and separators among the current tokens.
        left: places of the patch tokens that are kept.

    Returns:
        Indices in `structural`, ascending.
    """
    kept = np.zeros(layout.n, bool)
    kept[original[left]] = True
    stays = [
        layout.kind[own] != NEWLINE or kept[layout.line(own)].any() for own in original[structural]
    ]
    return np.flatnonzero(stays)


def side_by_side(parts: Sequence[Reduction], tokens: Sequence[np.ndarray]) -> Reduction:
    """Return one reduction whose W has the W of each part as a block, in raster order.

    Args:
        parts: one reduction per image or crop.
        tokens: for each of them, its columns in the joint matrix.
    """
    if len(parts) == 1:
        return parts[0].in_raster_order()
    n, m = sum(len(t) for t in tokens), sum(p.m for p in parts)
    starts = np.cumsum([0, *(p.m for p in parts)])
    pairs = list(zip(parts, tokens, strict=True))
    score = np.full(n, np.nan, np.float32)
    for part, place in pairs:
        score[place] = np.nan if part.score is None else part.score
    roles = {name for part in parts for name in part.roles}
    joint = Reduction.from_entries(
        # rows of W: part after part, each shifted by the rows of the parts before it
        np.concatenate([p.rows + s for p, s in zip(parts, starts, strict=False)]),
        # columns of W: a part's own columns -> columns of all tokens
        np.concatenate([t[p.cols] for p, t in pairs]),
        np.concatenate([p.weights for p in parts]),
        n,
        m,
        np.concatenate([t[p.position] for p, t in pairs]),
        score=None if np.isnan(score).all() else score,
        roles={
            role: np.concatenate([t[p.roles[role]] for p, t in pairs if role in p.roles])
            for role in sorted(roles)
        },
        notes=tuple(dict.fromkeys(note for p in parts for note in p.notes)),
        prefix_cls=any(p.prefix_cls for p in parts),
    )
    return joint.in_raster_order()
