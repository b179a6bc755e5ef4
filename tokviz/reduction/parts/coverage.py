"""Greedy choice of the tokens that together cover the most, without trying every token."""

from __future__ import annotations

import heapq

import numpy as np


def greedy_cover(
    cover: np.ndarray,
    k: int,
    *,
    factor: np.ndarray | None = None,
    bonus: np.ndarray | None = None,
    allowed: np.ndarray | None = None,
) -> tuple[list[int], list[float]]:
    """Pick k tokens, each the one with the largest factor * (newly covered) + bonus.

    Newly covered is the sum over things of max(0, cover - best cover so far). A token's gain can
    only fall, so it is computed again only if its old value would win (lazy greedy). The result,
    including ties (lower index), equals that of trying every token each time.

    Args:
        cover: [n, r] how well each token covers each of r things, not negative.
        k: how many, at most n.
        factor: [n] not negative; default 1.
        bonus: [n]; default 0.
        allowed: bool [n]; the others are picked only when no allowed one is left.

    Returns:
        The tokens in order of choice, and the gain of each.
    """
    n = len(cover)
    factor = np.ones(n) if factor is None else factor.astype(np.float64)
    bonus = np.zeros(n) if bonus is None else bonus.astype(np.float64)
    last = np.zeros(n, bool) if allowed is None else ~allowed
    best = np.zeros(cover.shape[1], cover.dtype)

    def gain(token: int) -> float:
        new = np.maximum(cover[token] - best, 0).sum()
        return float(new * factor[token] + bonus[token])

    queue = [(bool(last[token]), -gain(token), token) for token in range(n)]
    heapq.heapify(queue)
    order: list[int] = []
    gains: list[float] = []
    while len(order) < k:
        late, _, token = heapq.heappop(queue)
        fresh = (late, -gain(token), token)
        if queue and fresh > queue[0]:
            heapq.heappush(queue, fresh)
            continue
        np.maximum(best, cover[token], out=best)
        order.append(token)
        gains.append(-fresh[1])
    return order, gains
