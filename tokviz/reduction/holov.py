"""HoloV: split the budget among the parts of the image before choosing inside them."""

import math
from typing import Annotated, Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.options import fitted
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.selection import best_of, cls_score
from tokviz.reduction.parts.similarity import cosines
from tokviz.reduction.parts.spatial import grid_of, rows_cols

ATTENTION_SCALE, DIVERSITY, CHUNKS = 1e3, 0.09, 16
"""Constants of the official code."""


@method(
    "holov",
    title="HoloV",
    place="before",
    needs=("cls_attn", "feats_post"),
    fallbacks={"cls_attn": "recv_attn"},
    optional=("grid",),
    paper="https://arxiv.org/abs/2510.02912",
    year=2025,
    code="obananas/HoloV",
    licence="Apache-2.0",
    published=(
        Published(
            "192 tokens", "own paper", {"GQA": 59.0, "MME": 1820, "POPE": 85.6, "TextVQA": 57.4}
        ),
        Published(
            "128 tokens", "own paper", {"GQA": 57.7, "MME": 1802, "POPE": 84.0, "TextVQA": 56.8}
        ),
        Published(
            "64 tokens", "own paper", {"GQA": 55.3, "MME": 1715, "POPE": 80.3, "TextVQA": 55.4}
        ),
    ),
)
def holov(
    signals,
    keep: int,
    *,
    variant: Literal["code", "paper"] = "code",
    chunks: Annotated[int, Range(1, 256)] = CHUNKS,
    tau: Annotated[float, Range(0, 5, 0.1)] = 1.0,
    layer: int = -2,
) -> Reduction:
    """Split the budget among parts of the image by their mean score, then choose inside each.

    A token's score is its [CLS] attention plus 0.09 times the variance of its similarities inside
    its part, scaled to the attention's range.

    "code": parts are sections of the flat sequence, and inside each part only the attention
    chooses, best first (a part that is kept completely stays in order). The scaling removes the
    variance from every part's mean, so the features have no effect. Quotas beyond a part's size are
    lost: the places are filled with zero vectors.
    "paper", as far as it is described: parts are blocks of the grid, quotas are proportional to
    (mean score) ^ tau, overflow is distributed again, and the score chooses inside each part.
    """
    attention, notes = cls_score(signals, layer)
    said: tuple[str, ...] = ()
    similarity, n = cosines(signals["feats_post"]), len(attention)
    if variant == "paper":
        grid, more = grid_of(signals)
        parts, notes = _blocks(grid, chunks), notes + more
        if len(parts) != chunks:
            notes += (f"The grid was split into {len(parts)} parts where {chunks} were asked for.",)
    else:
        count, more = fitted("chunks", chunks, CHUNKS, n, f"there are {n} tokens")
        parts, said = np.array_split(np.arange(n), count), said + more
    score = combined_score(attention.cpu().numpy(), similarity, parts)
    worth = np.array([score[part].mean() for part in parts]).clip(min=0)
    if variant == "code":  # there, a part of a single token is worth its attention, not scaled
        lone = [number for number, part in enumerate(parts) if len(part) == 1]
        worth[lone] /= ATTENTION_SCALE
    sizes = np.array([len(part) for part in parts])
    by = score if variant == "paper" else attention.cpu().numpy()
    if variant == "paper" or notes:
        quota = shared_quotas(worth**tau, sizes, keep)
    else:
        quota = plain_quotas(worth, keep)
    order = np.concatenate(
        [
            part if count >= len(part) else best_of(by, part, count)
            for part, count in zip(parts, quota, strict=True)
        ]
    )[:keep]
    position = np.concatenate([order, np.repeat(order[-1], keep - len(order))])
    if len(order) < keep:
        notes += (f"{keep - len(order)} places hold zero vectors, as in the official code.",)
    return Reduction.from_entries(
        np.arange(len(order)), order, np.ones(len(order)), n, keep, position,
        score=score, order=order, notes=notes + said,
    )  # fmt: skip


def combined_score(
    attention: np.ndarray, similarity: np.ndarray, parts: list[np.ndarray]
) -> np.ndarray:
    """Return attention + 0.09 x variance of similarities [n], the latter scaled to the former."""
    score = ATTENTION_SCALE * attention.astype(np.float32)
    for part in parts:
        inside = similarity[np.ix_(part, part)].copy()
        np.fill_diagonal(inside, 0)
        others = max(len(part) - 1, 1)
        mean = inside.sum(1, keepdims=True) / others
        variance = ((inside - mean) ** 2).sum(1) / others
        if (spread := np.abs(variance).mean()) > 0:
            score[part] += DIVERSITY * variance * np.abs(score[part]).mean() / spread
    return score


def plain_quotas(worth: np.ndarray, keep: int) -> np.ndarray:
    """Return the budget of each part: its floored share, and one more for the worthiest parts."""
    share = worth / worth.sum() if worth.sum() > 0 else np.full(len(worth), 1 / len(worth))
    quota = np.floor(share * keep).astype(np.int64)
    quota[np.argsort(-share, kind="stable")[: keep - quota.sum()]] += 1
    return quota


def shared_quotas(worth: np.ndarray, sizes: np.ndarray, keep: int) -> np.ndarray:
    """Return the budget of each part, at most its size; overflow is distributed again."""
    quota = np.zeros(len(sizes), np.int64)
    while (left := keep - quota.sum()) > 0:
        room = sizes > quota
        quota[room] = np.minimum(quota[room] + plain_quotas(worth[room], left), sizes[room])
    return quota


def _blocks(grid: tuple[int, int], count: int) -> list[np.ndarray]:
    """Split a grid into about `count` equal blocks, with as many down as across if possible."""
    down = min(max(math.isqrt(count), 1), grid[0])
    across = min(max(count // down, 1), grid[1])
    row, col = rows_cols(grid)
    block = row * down // grid[0] * across + col * across // grid[1]
    return [np.flatnonzero(block == number) for number in range(down * across)]
