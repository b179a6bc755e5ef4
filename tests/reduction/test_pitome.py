import numpy as np
import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.pitome import energy

VALUES = np.array([[1.0], [2], [3], [4], [5]], np.float32)


def toy(**more):
    """Patches at 0, 10, 20, 90, 180 degrees; layer 0, so that the margin is as given."""
    radians = torch.deg2rad(torch.tensor([0.0, 10, 20, 90, 180], dtype=torch.float64))
    return {"keys": torch.stack([radians.cos(), radians.sin()], 1), **more}


def cosines():
    keys = toy()["keys"]
    return keys @ keys.T


def test_energy_of_the_code():
    expected = [0.050832, 0.083543, 0.103074, -0.142304, -0.441359]
    np.testing.assert_allclose(energy(cosines(), 0.5), expected, atol=1e-6)


def test_energy_of_the_paper_has_no_step_at_the_margin_subtracted():
    expected = [0.350832, 0.383543, 0.403074, -0.042304, -0.341359]
    np.testing.assert_allclose(energy(cosines(), 0.5, variant="paper"), expected, atol=1e-6)


def test_one_merge_of_the_toy():
    r = reduce("pitome", toy(), keep=4, margin=0.5)
    np.testing.assert_allclose(r.apply(VALUES)[:, 0], [1, 4, 5, 2.5])
    assert r.row_sizes.tolist() == [1, 1, 1, 2]
    assert r.group.tolist() == [0, 3, 3, 1, 2]


def test_two_merges_of_the_toy_share_one_group():
    r = reduce("pitome", toy(), keep=3, margin=0.5)
    np.testing.assert_allclose(r.apply(VALUES)[:, 0], [5, 2, 4])
    assert r.row_sizes.tolist() == [1, 3, 1]
    assert r.group.tolist() == [1, 1, 1, 2, 0]


def test_lone_patches_score_highest():
    r = reduce("pitome", toy(), keep=4, margin=0.5)
    assert r.score.argmax() == 4
    assert r.roles["protected"].tolist() == [0, 3, 4]


def test_the_margin_falls_to_zero_with_depth():
    early = reduce("pitome", toy(layer=0, num_layers=4), keep=4, margin=0.8)
    late = reduce("pitome", toy(layer=3, num_layers=4), keep=4, margin=0.8)
    np.testing.assert_allclose(-early.score, energy(cosines(), 0.8), atol=1e-6)
    np.testing.assert_allclose(-late.score, energy(cosines(), 0.2), atol=1e-6)


@pytest.mark.parametrize(("layer", "same_as_tome"), [(0, True), (2, True), (3, False)])
def test_tome_runs_up_to_the_middle_layer_when_asked(layer, same_as_tome):
    signals = toy(layer=layer, num_layers=4)
    mixed = reduce("pitome", signals, keep=4, margin=0.5, tome_first=True)
    tome = reduce("tome", {"keys": signals["keys"]}, keep=4)
    assert (mixed.group.tolist() == tome.group.tolist()) == same_as_tome


def test_every_layer_keeps_the_same_share():
    counts = [s.keep for s in METHODS["pitome"].stages(1024, 64, 4)]
    assert counts == [512, 256, 128, 64]


def published_bsm(keys, values, r, margin):
    """The official `pitome_bsm` on one image without [CLS]: rows after a mean merge."""
    unit = torch.nn.functional.normalize(keys, dim=1)
    likeness = unit @ unit.T
    order = torch.nn.functional.elu(likeness - margin).mean(1).argsort(descending=True)
    first, second = order[0::2], order[1::2]
    best, partner = likeness[first][:, second].max(1)
    by_edge = best.argsort(descending=True)
    source, alone = by_edge[:r], by_edge[r:]
    target = values[second].clone()
    for position in range(len(second)):
        members = first[source[partner[source] == position]]
        target[position] = torch.cat([values[second[position]][None], values[members]]).mean(0)
    return torch.cat([values[first[alone]], target])


@pytest.mark.parametrize("seed", range(40))
def test_the_split_over_all_tokens_is_the_official_one(seed):
    rng = torch.Generator().manual_seed(seed)
    n, r = 9 + seed % 8, 1 + seed % 4
    keys = torch.randn(n, 6, generator=rng, dtype=torch.float64)
    values = torch.randn(n, 3, generator=rng, dtype=torch.float64)
    done = reduce("pitome", {"keys": keys}, n - r, margin=0.5, split="all")
    expected = published_bsm(keys, values, r, 0.5)
    np.testing.assert_allclose(done.apply(values), expected, atol=1e-6)
    assert done.m == n - r
