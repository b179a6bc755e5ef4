"""Methods for films: worked numbers, and what still and moving frames lose."""

import numpy as np
import pytest

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.parts.frames import before
from tokviz.reduction.signals import Signals
from tokviz.reduction.vidcom2 import whole_counts

FILM = [n for n in METHODS if METHODS[n].frames]
THREE = [("frame", 1, 2, 0, 0)] * 3


def features(*angles):
    """Unit vectors in a plane, by their angles in degrees."""
    turned = np.radians(angles)
    return np.stack([np.cos(turned), np.sin(turned)], 1).astype(np.float32)


def test_evs_keeps_the_first_frame_and_then_what_changed_most():
    # place 0 turns by 0 and 10 degrees, place 1 by 60 and 30
    given = {"feats_post": features(0, 0, 0, 60, 10, 90), "crops": THREE}
    assert reduce("evs", given, keep=3).kept.tolist() == [0, 1, 3]
    assert reduce("evs", given, keep=4).kept.tolist() == [0, 1, 3, 5]
    score = reduce("evs", given, keep=4).score
    wanted = [255, 255, 0, 0.5, 1 - np.cos(np.pi / 18), 1 - np.sqrt(0.75)]
    assert score == pytest.approx(wanted, abs=1e-6)
    assert reduce("evs", given, keep=1).kept.tolist() == [0]


def test_the_token_before_is_the_one_at_the_same_place():
    given = {"feats_post": features(*range(5)), "crops": THREE}
    left = given | {"tile": np.array([0, 0, 1, 2, 2]), "cell": np.array([0, 1, 1, 0, 1])}
    assert before(Signals(left)).tolist() == [-1, -1, 1, -1, 2]
    other = [("frame", 1, 2, 0, 0), ("frame", 2, 1, 0, 0)]
    unlike = {"feats_post": features(*range(4)), "crops": other}
    assert before(Signals(unlike)).tolist() == [-1] * 4


def test_vidcom2_gives_more_to_the_frame_that_is_unlike_the_film():
    rng = np.random.default_rng(0)
    film = np.concatenate([np.tile(rng.normal(size=8), (18, 1)), rng.normal(size=(9, 8))])
    film += 0.01 * rng.normal(size=film.shape)
    given = {"feats_post": film.astype(np.float32), "crops": [("frame", 3, 3, 0, 0)] * 3}
    kept = reduce("vidcom2", given, keep=9).kept
    assert np.bincount(kept // 9, minlength=3).argmax() == 2


def test_counts_are_rounded_as_published_and_corrected_to_the_budget():
    sizes = np.array([9, 9, 9])
    assert whole_counts(np.array([2.4, 2.4, 4.2]), sizes, 9).tolist() == [3, 2, 4]
    assert whole_counts(np.array([0.1, 0.1, 5.8]), sizes, 6).sum() == 6
    assert whole_counts(np.array([9.0, 9.0, 9.0]), sizes, 27).tolist() == [9, 9, 9]


@pytest.mark.parametrize("name", FILM)
@pytest.mark.parametrize("keep", [1, 5, 20, 47])
def test_a_film_keeps_exactly_the_budget(name, keep):
    rng = np.random.default_rng(keep)
    given = {
        "feats_post": rng.normal(size=(48, 6)).astype(np.float32),
        "crops": [("frame", 3, 4, 0, 0)] * 4,
    }
    assert reduce(name, given, keep=keep).m == keep
