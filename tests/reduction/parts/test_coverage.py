import numpy as np
import pytest

from tokviz.reduction.parts.coverage import greedy_cover


def by_trying_all(cover, k, factor, bonus):
    best, order = np.zeros(cover.shape[1], cover.dtype), []
    for _ in range(k):
        gain = np.maximum(cover - best, 0).sum(1) * factor + bonus
        gain[order] = -np.inf
        order.append(int(gain.argmax()))
        best = np.maximum(best, cover[order[-1]])
    return order


@pytest.mark.parametrize("seed", range(5))
def test_lazy_choice_equals_trying_all(seed):
    rng = np.random.default_rng(seed)
    cover = rng.random((30, 20)).astype(np.float32)
    factor, bonus = rng.random(30), rng.random(30)
    order, gains = greedy_cover(cover, 30, factor=factor, bonus=bonus)
    assert order == by_trying_all(cover, 30, factor, bonus)
    assert len(gains) == 30


def test_lower_index_wins_a_tie():
    cover = np.array([[0.5, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    assert greedy_cover(cover, 4)[0] == [1, 3, 0, 2]
