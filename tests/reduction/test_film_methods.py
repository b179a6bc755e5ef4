"""Methods for films: worked numbers, and what still and moving frames lose."""

import numpy as np
import pytest
import torch

from tokviz.errors import InputError
from tokviz.reduction import METHODS, reduce
from tokviz.reduction.dycoke import steps_within
from tokviz.reduction.fastvid import frame_counts
from tokviz.reduction.holitom import windows_of
from tokviz.reduction.parts.frames import before
from tokviz.reduction.parts.scenes import joined_scenes
from tokviz.reduction.prunevid import group_counts, parted
from tokviz.reduction.quota import resized
from tokviz.reduction.signals import Signals
from tokviz.reduction.vidcom2 import whole_counts

FILM = [n for n in METHODS if METHODS[n].frames or n == "quota"]
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


def film_signals(rng, frames=4, shape=(3, 4), standing=False):
    """Every signal of a film; with `standing` all frames are the first one."""
    places = shape[0] * shape[1]
    features = rng.normal(size=(frames * places, 6))
    n = len(features)
    return {
        "feats_pre": rng.normal(size=(n, 6)).astype(np.float32),
        "feats_post": (np.tile(features[:places], (frames, 1)) if standing else features).astype(
            np.float32
        ),
        "recv_attn": rng.random(n).astype(np.float32),
        "q": rng.normal(size=(2, n, 4)).astype(np.float32),
        "k": rng.normal(size=(2, n, 4)).astype(np.float32),
        "asked_yes": np.repeat(np.linspace(0.1, 0.9, frames), places).astype(np.float32),
        "num_layers": 1,
        "crops": [("frame", *shape, 0, 0)] * frames,
    }


@pytest.mark.parametrize("name", FILM)
@pytest.mark.parametrize("keep", [1, 5, 20, 47])
def test_a_film_keeps_exactly_the_budget(name, keep):
    done = reduce(name, film_signals(np.random.default_rng(keep)), keep=keep)
    assert done.m == keep or (METHODS[name].adaptive and 0 < done.m < keep)
    assert name == "quota" or len(np.unique(done.position)) == done.m


@pytest.mark.parametrize("name", FILM)
def test_a_film_that_stands_still_is_decided_too(name):
    done = reduce(name, film_signals(np.random.default_rng(1), standing=True), keep=20)
    assert 0 < done.m <= 20


@pytest.mark.parametrize("name", FILM)
def test_frames_of_other_sizes_and_tokens_that_are_gone(name):
    rng = np.random.default_rng(2)
    given = film_signals(rng, 2) | {"crops": [("frame", 2, 6, 0, 0), ("frame", 3, 4, 0, 0)]}
    assert 0 < reduce(name, given, keep=9).m <= 9
    left = np.sort(rng.permutation(48)[:30])
    given = film_signals(rng)
    cut = {key: given[key][left] for key in ("feats_pre", "feats_post", "recv_attn", "asked_yes")}
    cut |= {key: given[key][:, left] for key in ("q", "k")}
    cut |= {"tile": left // 12, "cell": left % 12, "index": left}
    assert 0 < reduce(name, given | cut, keep=9).m <= 9


def test_dycoke_keeps_every_fourth_frame_and_what_changed_most():
    still = np.tile(features(0, 0, 0, 0), (6, 1))
    still[4 * 1 + 2] = still[4 * 3 + 0] = still[4 * 2 + 1] = [0, 1]
    given = {"feats_post": still, "crops": [("frame", 1, 4, 0, 0)] * 6}
    # frames 0 and 4 are complete; frames 1, 2, 3 and 5 share the other four
    kept = reduce("dycoke", given, keep=12).kept.tolist()
    assert kept == [0, 1, 2, 3, 6, 9, 12, 16, 17, 18, 19, 20]
    assert reduce("dycoke", given, keep=2).kept.tolist() == [0, 1]


def test_dycoke_leaves_the_last_third_frame_complete_as_the_official_code_does():
    assert steps_within(np.full(8, 4), 24, code=True).tolist() == [0, 1, 2, 1, 0, 1, 0, 1]
    assert steps_within(np.full(8, 4), 24, code=False).tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert steps_within(np.full(8, 4), 7, code=True).tolist() == [0, 1, 2, 1, 4, 1, 2, 1]


def test_holitom_cuts_where_most_tokens_are_saved():
    standing = np.array([[1, 1, 1, 0], [0, 0, 1, 0], [1, 1, 1, 1]], bool)
    # 0-1 and 2-3 save 3 + 4; one window over all frames would save 1 place three times
    assert windows_of(standing) == [(0, 1), (2, 3)]
    assert windows_of(np.zeros((2, 4), bool)) == [(0, 0), (1, 1), (2, 2)]
    assert windows_of(np.ones((2, 4), bool)) == [(0, 2)]


def test_holitom_averages_what_stands_still():
    given = film_signals(np.random.default_rng(0), standing=True)
    done = reduce("holitom", given, keep=40)
    assert done.m == 12  # one token per place: fewer than the budget
    assert np.allclose(done.matrix()[0, ::12], 0.25)


def test_scenes_are_the_longest_stretches_of_their_groups():
    assert joined_scenes(np.array([0, 0, 1, 0, 1, 1, 1])).tolist() == [0, 0, 1, 1, 1, 1, 1]
    assert joined_scenes(np.array([0, 0, 2, 1, 1])).tolist() == [0, 0, 0, 1, 1]
    assert joined_scenes(np.array([3])).tolist() == [0]


def test_prunevid_parts_a_scene_into_still_places_and_each_frames_others():
    # place 0 stands still; place 1 turns by 90 degrees; place 2 is still but missing in frame 1
    turned = torch.tensor(features(0, 10, 50, 5, 100, 0, 190, 50))
    table = np.array([[0, 1, 2], [3, 4, -1], [5, 6, 7]])
    parts = [part.tolist() for part in parted(turned, table, (0, 2), 0.8)]
    assert parts == [[[0], [3], [5]], [[1, 2]], [[4]], [[6, 7]]]
    # the mean over all pairs is above 0.8: cos 5, cos 5, cos 0; of one frame nothing stands still
    assert [part.tolist() for part in parted(turned, table, (0, 0), 0.8)] == [[[0, 1, 2]]]


def test_prunevid_leaves_small_parts_whole_while_the_budget_allows():
    assert group_counts(np.array([40, 10, 20]), 40).tolist() == [20, 10, 10]
    assert group_counts(np.array([10, 10, 10]), 15).tolist() == [5, 5, 5]


def test_prunevid_averages_a_still_place_over_its_scene():
    still = np.tile(features(0, 90, 180), (2, 1))
    given = {"feats_post": still, "crops": [("frame", 1, 3, 0, 0)] * 2}
    done = reduce("prunevid", given, keep=3, scenes=0.5)
    assert done.matrix().tolist() == [
        [0.5, 0, 0, 0.5, 0, 0], [0, 0.5, 0, 0, 0.5, 0], [0, 0, 0.5, 0, 0, 0.5],
    ]  # fmt: skip


def test_prunevid_stage_gives_every_frame_its_share():
    attention = np.zeros((2, 3, 12), np.float32)
    attention[1, 2] = np.arange(12) / 66
    given = {"llm_attn_text": attention, "llm_image": np.repeat([0, 1], 6)}
    assert reduce("prunevid_stage", given, keep=4).kept.tolist() == [4, 5, 10, 11]


def test_holitom_stage_halves_again_for_every_token_that_joins():
    given = {
        "llm_attn_last": np.array([[0.1, 0.5, 0.2, 0.1]], np.float32),
        "llm_hidden": features(0, 0, 90, 10),
    }
    assert reduce("holitom_stage", given, keep=2).matrix().tolist() == [
        [0.25, 0.25, 0, 0.5],
        [0, 0, 1, 0],
    ]


def test_fastvid_counts_follow_the_two_official_codes():
    sizes, apart = np.full(5, 10), np.array([True, True, False, True])
    salient, anchors = frame_counts(sizes, 20, apart, halved=True)
    # frame 2 is as good as frame 3; anchors: the last frame, then every fourth of the four
    assert salient.tolist() == [3, 3, 0, 3, 3]
    assert anchors.tolist() == [0, 0, 0, 0, 5]  # of eight, half a frame fits
    salient, anchors = frame_counts(sizes, 20, np.ones(4, bool), halved=False)
    assert (salient.tolist(), anchors.tolist()) == ([3, 3, 2, 2, 2], [4, 0, 0, 0, 4])
    salient, anchors = frame_counts(sizes, 45, np.ones(4, bool), halved=False)
    assert salient.sum() + anchors.sum() == 45


def test_quota_gives_the_square_of_a_frames_probability():
    assert [resized(count) for count in (1, 2, 3, 4, 6, 8)] == [
        (1, 1), (2, 1), (2, 1), (2, 2), (3, 2), (3, 2),
    ]  # fmt: skip
    yes = np.repeat([0.25, 0.75], 9).astype(np.float32)
    given = {"asked_yes": yes, "crops": [("frame", 3, 3, 0, 0)] * 2}
    done = reduce("quota", given, keep=10)  # shares 1 and 9
    assert done.m == 10
    assert np.allclose(done.matrix()[1:, 9:], np.eye(9))
    assert done.position[0] == 4  # one token for the whole frame: its middle


def test_centerclip_clusters_a_few_frames_together():
    turned = features(0, 90, 1, 91, 2, 92, 3, 93)
    given = {"feats_pre": turned, "crops": [("frame", 1, 2, 0, 0)] * 4}
    assert len(reduce("centerclip_film", given, keep=4).kept) == 4
    done = reduce("centerclip_film", given, keep=4, tokens="mean")
    assert done.matrix().tolist() == [
        [0.5, 0, 0.5, 0, 0, 0, 0, 0], [0, 0.5, 0, 0.5, 0, 0, 0, 0],
        [0, 0, 0, 0, 0.5, 0, 0.5, 0], [0, 0, 0, 0, 0, 0.5, 0, 0.5],
    ]  # fmt: skip


def test_dc2_averages_tiles_that_are_alike():
    tile = features(10, 20)
    given = {
        "feats_pre": np.concatenate([tile, tile, tile + 0.01, -tile]).astype(np.float32),
        "crops": [("thumbnail", 1, 2, 0, 0), *[("tile", 1, 2, 0, 2 * i) for i in range(3)]],
    }
    done = reduce("dc2", given, keep=7)
    assert done.m == 6
    assert done.matrix()[2].tolist() == [0, 0, 0.5, 0, 0.5, 0, 0, 0]
    assert reduce("dc2", given, keep=4).m == 4
    with pytest.raises(InputError, match="keep must be 4 or more here, got 3"):
        reduce("dc2", given, keep=3)
