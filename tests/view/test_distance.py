from dataclasses import replace

import numpy as np
import pytest

from tests.view.fakes import fake_trace
from tokviz.view.distance import least_distance, word_distances


def trace(ids, shares):
    made = fake_trace()
    more = {"answer_ids": np.int32(ids), "candidate_prob": np.float32(shares)}
    candidates = np.int32([[i, 9] for i in ids])
    return replace(made, arrays={**made.arrays, **more, "candidate_ids": candidates})


def test_a_distribution_is_no_distance_from_itself():
    ids, shares = np.array([4, 7]), np.array([0.6, 0.3])
    assert least_distance(ids, shares, ids, shares) == 0


def test_the_bound_is_met_when_the_lists_hold_everything():
    found = least_distance(
        np.array([0, 1]), np.array([0.9, 0.1]), np.array([1, 0]), np.array([0.7, 0.3])
    )
    assert found == pytest.approx(0.6)


def test_the_bound_never_exceeds_the_true_distance():
    rng = np.random.default_rng(0)
    for _ in range(200):
        p, q = rng.dirichlet(np.full(12, 0.3), 2)
        a, b = (np.argsort(-one)[:5] for one in (p, q))
        assert least_distance(a, p[a], b, q[b]) <= np.abs(p - q).sum() / 2 + 1e-9


def test_words_are_compared_up_to_where_the_answers_part():
    even = [[0.6, 0.3]] * 3
    full, other = trace([1, 2, 3], even), trace([1, 5, 3], even)
    found = word_distances(other, full)
    assert [one["distance"] for one in found] == pytest.approx([0, 0.5], abs=1e-6)
    assert len(word_distances(full, full)) == 3
    assert word_distances(fake_trace(), full) == word_distances(None, full) == []
