import numpy as np
import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.centerclip import shifted
from tokviz.reduction.parts.kmedoids import kkz_start

LINE = np.array([[0.0], [1], [2], [10], [11], [20]], np.float32)


def test_start_is_the_longest_then_always_the_farthest():
    x = torch.from_numpy(LINE)
    assert kkz_start(x, torch.cdist(x, x), 3).tolist() == [5, 0, 3]


@pytest.mark.parametrize(
    ("keep", "groups", "medoids"),
    [(2, [0, 0, 0, 1, 1, 1], [1, 4]), (3, [0, 0, 0, 1, 1, 2], [1, 3, 5])],
)
def test_toy_clusters(keep, groups, medoids):
    kept = reduce("centerclip", {"hidden": LINE}, keep)
    assert kept.kept.tolist() == medoids
    means = reduce("centerclip", {"hidden": LINE}, keep, tokens="mean")
    assert means.group.tolist() == groups
    assert means.roles["medoid"].tolist() == medoids


def test_mean_of_a_cluster_takes_its_place():
    r = reduce("centerclip", {"hidden": LINE}, 2, tokens="mean")
    assert r.apply(LINE)[:, 0].tolist() == pytest.approx([1, 41 / 3])


def test_duplicates_still_give_the_exact_count():
    r = reduce("centerclip", {"hidden": np.ones((6, 2))}, 4)
    assert r.kept.tolist() == [0, 1, 2, 3]


def test_spectral_clusters_follow_chains():
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([6 * np.cos(angle), 6 * np.sin(angle)], 1)
    dot = np.random.default_rng(0).normal(0, 0.3, (8, 2))
    signals = {"hidden": np.concatenate([dot, ring])}
    spectral = reduce("centerclip", signals, 2, clustering="spectral", tokens="mean", sigma=0.8)
    assert len(set(spectral.group[:8])) == len(set(spectral.group[8:])) == 1
    assert spectral.group[0] != spectral.group[-1]
    plain = reduce("centerclip", signals, 2, tokens="mean")
    assert len(set(plain.group[8:])) == 2


def test_one_stage_after_seven_twelfths():
    assert [(s.layer, s.keep) for s in METHODS["centerclip"].stages(49, 20, 12)] == [(7, 20)]


def test_the_shift_keeps_the_order_and_makes_each_token_its_own_nearest():
    rows = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    distances = torch.cdist(rows, rows)
    below = shifted(distances)
    assert below.max() <= -1
    assert below.argmin(1).tolist() == list(range(9))
    others = ~torch.eye(9, dtype=torch.bool)
    order = distances[others].argsort(stable=True).tolist()
    assert below[others].argsort(stable=True).tolist() == order


def test_of_two_look_alikes_one_stays_whatever_the_distance(at_angles):
    hidden = at_angles([0, 0, 90, 90, 180, 180])
    for distance in ("euclidean", "cosine"):
        r = reduce("centerclip", {"hidden": hidden}, 3, distance=distance)
        assert sorted(r.kept // 2) == [0, 1, 2]
