"""HiPrune: objects from a middle layer, their surroundings, and global context from a deep one."""

from typing import Annotated, Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.selection import in_tower, received_score, top_k
from tokviz.reduction.parts.spatial import grid_of
from tokviz.reduction.signals import Signals


@method(
    "hiprune",
    title="HiPrune",
    place="before",
    tiles="each",
    needs=("recv_attn", "grid"),
    paper="https://arxiv.org/abs/2508.00553",
    year=2025,
    depths=(24,),
    code="Danielement321/HiPrune",
    licence="MIT",
    published=(
        Published(
            "192 tokens",
            "own paper, Table 2",
            {"GQA": 59.2, "MME": 1814, "POPE": 86.1, "TextVQA": 57.6},
        ),
        Published(
            "128 tokens",
            "own paper, Table 2",
            {"GQA": 57.3, "MME": 1782, "POPE": 82.8, "TextVQA": 56.6},
        ),
        Published(
            "64 tokens",
            "own paper, Table 2",
            {"GQA": 53.6, "MME": 1646, "POPE": 73.0, "TextVQA": 54.9},
        ),
    ),
)
def hiprune(
    signals,
    keep: int,
    *,
    alpha: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    object_layer: int | None = None,
    layer: int = -2,
    wrap: bool = True,
    variant: Literal["code", "paper"] = "code",
) -> Reduction:
    """Keep anchors, their four neighbours (buffers) and a deep layer's best tokens (registers).

    Scores are received attention, the [CLS] query included. round(keep * alpha / 5) anchors come
    from `object_layer` (published: layer 8 of 24, scaled to other depths), registers from `layer`.
    A neighbour outside the grid is clamped into it in the code, so that it adds the first or last
    token, and left out in the paper. Both take left and right from the flat sequence, across row
    ends; `wrap` off keeps them in their row. If the budget is too small, the buffers with the
    lowest scores are dropped first.
    """
    return choose(signals, keep, alpha, object_layer, layer, wrap, variant == "code")


def choose(
    signals: Signals,
    keep: int,
    alpha: float,
    object_layer: int | None,
    layer: int,
    wrap: bool,
    clamp: bool,
) -> Reduction:
    """Return HiPrune's choice; see `hiprune`."""
    grid, notes = grid_of(signals)
    middle = in_tower(signals, "recv_attn", 8) if object_layer is None else object_layer
    deep, more = received_score(signals, layer)
    best = top_k(deep, len(deep)).cpu().numpy()
    anchors = top_k(received_score(signals, middle)[0], round(keep * alpha / 5)).cpu().numpy()
    around = neighbours(anchors, grid, wrap, clamp)
    buffers = best[np.isin(best, np.setdiff1d(around, anchors))][: keep - len(anchors)]
    taken = np.concatenate([anchors, buffers])
    registers = best[~np.isin(best, taken)][: keep - len(taken)]
    return Reduction.select(
        np.concatenate([taken, registers]),
        len(deep),
        score=deep,
        order=np.concatenate([taken, registers]),
        roles={"anchor": anchors, "buffer": buffers, "register": registers},
        notes=notes + more,
    )


def neighbours(tokens: np.ndarray, grid: tuple[int, int], wrap: bool, clamp: bool) -> np.ndarray:
    """Return the tokens left, right, above and below of some tokens, sorted.

    Args:
        tokens: int64 [k].
        grid: (rows, cols).
        wrap: count left and right across row ends.
        clamp: move neighbours outside the grid to its first or last token; else leave them out.
    """
    cols, n = grid[1], grid[0] * grid[1]
    steps = np.array([-1, 1, -cols, cols])
    found = tokens[:, None] + steps
    good = np.ones_like(found, bool) if clamp else (found >= 0) & (found < n)
    if not wrap:
        good[:, :2] &= found[:, :2] // cols == tokens[:, None] // cols
    return np.unique(found[good].clip(0, n - 1))
