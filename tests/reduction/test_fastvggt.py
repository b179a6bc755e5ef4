import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.reduction import METHODS, reduce
from tokviz.reduction.fastvggt import destinations, protected

TWO = [("whole", 2, 4, 0, 0), ("whole", 2, 4, 0, 0)]


@pytest.fixture
def features():
    return np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)


def test_two_frames_of_thirteen():
    # 5 special tokens and 2 x 4 patches each: the first frame whole, then 5 and one per cell
    found = destinations([(2, 4), (2, 4)], cell=2, special=5)
    assert len(found) == 20
    assert found[:18].tolist() == list(range(18))
    assert len(set(found.tolist())) == 20


def test_the_code_sets_a_uniform_tenth_aside():
    assert protected(26).tolist() == [0, 13]
    assert protected(9).tolist() == []


def test_later_frames_merge_into_their_sample_or_the_first_frame(features):
    r = reduce("fastvggt", {"feats_post": features, "crops": TWO}, keep=10)
    assert r.m == 10
    gone = r.roles["merged away"]
    assert len(gone) == 6
    assert gone.min() >= 8
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    targets = r.roles["destination"]
    for token in gone:
        best = targets[np.argmax(unit[targets] @ unit[token])]
        assert r.group[token] == r.group[best]
    members = np.flatnonzero(r.group == r.group[gone[0]])
    assert r.matrix()[r.group[gone[0]], members] == pytest.approx(1 / len(members))


def test_tokens_aside_never_merge_away(features):
    """Tokens 0 and 20 of 40 are the tenth that is spared; 20 would have merged."""
    crops = [("whole", 4, 5, 0, 0), ("whole", 4, 5, 0, 0)]
    given = {"feats_post": np.tile(features, (3, 1))[:40], "crops": crops}
    assert protected(40).tolist() == [0, 10, 20, 30]
    paper = reduce("fastvggt", given, keep=24, seed=1)
    spared = set(protected(40)) & set(paper.roles["merged away"].tolist())
    assert spared
    code = reduce("fastvggt", given, keep=24 + len(spared), variant="code", seed=1)
    assert not spared & set(code.roles["merged away"].tolist())


def test_the_most_similar_merge_first(features):
    given = {"feats_post": features, "crops": TWO}
    order = reduce("fastvggt", given, keep=10).order
    assert reduce("fastvggt", given, keep=13).order.tolist() == order[:3].tolist()


def test_earlier_steps_may_have_left_fewer_tokens(features):
    left = np.array([0, 3, 4, 8, 9, 10, 13, 15])
    whole = reduce("fastvggt", {"feats_post": features, "crops": TWO}, keep=10)
    more = {"crops": TWO, "tile": left // 8, "cell": left % 8}
    r = reduce("fastvggt", {"feats_post": features[left], **more}, keep=7)
    expected = set(whole.roles["destination"]) & set(left.tolist())
    assert set(left[r.roles["destination"]].tolist()) == expected


def test_a_single_frame_has_nothing_to_merge():
    one = {"feats_post": np.ones((8, 2)), "crops": TWO[:1]}
    with pytest.raises(InputError, match="single frame. Ask about several images"):
        reduce("fastvggt", one, keep=4)


def test_it_says_that_its_place_is_another():
    method = METHODS["fastvggt"]
    assert (method.place, method.images, method.verified) == ("before", "together", False)
    assert "stay merged" in method.notes
