import itertools

import numpy as np
import pytest

from tokviz.reduction import reduce
from tokviz.reduction.cdpruner import largest_volume, scaled

TEXT_COSINE = np.array([0.2, 0.22, 0.1, 0.18, 0.05, 0.12])


@pytest.fixture
def six(at_angles):
    flat = at_angles([0, 10, 40, 90, 130, 170])
    return {
        "feats_post": np.concatenate([flat, np.full((6, 1), 0.3, np.float32)], 1),
        "img_clip": np.stack([TEXT_COSINE, np.sqrt(1 - TEXT_COSINE**2)], 1),
        "text_clip": [[1.0, 0.0]],
    }


def test_worked_example(six):
    reduction = reduce("cdpruner", six, 3)
    assert list(reduction.order) == [4, 2, 5]
    assert np.allclose(reduction.score, [0.1177, 0, 0.7059, 0.2353, 1, 0.5882], atol=1e-4)


def test_worked_example_with_the_plus_sign(six):
    reduction = reduce("cdpruner", six, 3, negate=False)
    assert list(reduction.order) == [1, 3, 5]
    assert np.allclose(reduction.score, [0.8824, 1, 0.2941, 0.7647, 0, 0.4118], atol=1e-4)


def test_worked_example_of_the_volumes(six):
    unit = six["feats_post"] / np.linalg.norm(six["feats_post"], axis=1, keepdims=True)
    q = scaled(-TEXT_COSINE.astype(np.float32))
    order, gains = largest_volume((q[:, None] * (unit @ unit.T) * q).astype(np.float32), 3)
    assert order == [4, 2, 5]
    assert np.allclose(gains, [1, 0.4949, 0.0186], atol=1e-4)


def test_gains_multiply_to_the_determinant(random_signals):
    features = random_signals(8)["feats_post"]
    kernel = (features @ features.T).astype(np.float32)
    order, gains = largest_volume(kernel, 4)
    part = kernel[np.ix_(order, order)]
    assert np.prod(gains) == pytest.approx(np.linalg.det(part), rel=1e-3)
    grown = [np.linalg.det(kernel[np.ix_([*order[:3], j], [*order[:3], j])]) for j in range(8)]
    assert order[3] == int(np.argmax(grown))


def test_plus_sign_finds_the_largest_determinant_of_all(six):
    unit = six["feats_post"] / np.linalg.norm(six["feats_post"], axis=1, keepdims=True)
    q = scaled(TEXT_COSINE.astype(np.float32))
    kernel = q[:, None] * (unit @ unit.T) * q
    sets = itertools.combinations(range(6), 3)
    best = max(sets, key=lambda s: np.linalg.det(kernel[np.ix_(s, s)]))
    assert sorted(largest_volume(kernel.astype(np.float32), 3)[0]) == list(best)


def test_equal_relevance_leaves_plain_diversity(six):
    six["img_clip"] = np.ones((6, 2))
    reduction = reduce("cdpruner", six, 3)
    assert (reduction.score == 1).all()
    assert reduction.m == 3


def test_beyond_the_rank_every_token_is_still_new():
    rank_two = np.random.default_rng(0).standard_normal((12, 2)).astype(np.float32)
    order, _ = largest_volume(rank_two @ rank_two.T, 10)
    assert len(set(order)) == 10
