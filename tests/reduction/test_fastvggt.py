import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.reduction import reduce
from tokviz.reduction.fastvggt import destinations


def test_two_frames_of_thirteen():
    # 5 special tokens and 2 x 4 patches each: the first frame whole, then 5 and one per cell
    found = destinations([(2, 4), (2, 4)], cell=2, special=5)
    assert len(found) == 20
    assert found[:18].tolist() == list(range(18))
    assert len(set(found.tolist())) == 20


def test_later_frames_merge_into_their_sample_or_the_first_frame():
    hidden = np.random.default_rng(0).standard_normal((16, 4))
    crops = [("tile", 2, 4, 0, 0), ("tile", 2, 4, 0, 4)]
    r = reduce("fastvggt", {"hidden": hidden, "crops": crops}, keep=10)
    assert r.m == 10
    assert len(r.roles["merged away"]) == 6
    assert r.roles["merged away"].min() >= 8


def test_a_single_frame_has_nothing_to_merge():
    with pytest.raises(InputError, match="nothing to merge. Choose tomesd"):
        reduce("fastvggt", {"hidden": np.ones((8, 2)), "grid": [2, 4]}, keep=4)
