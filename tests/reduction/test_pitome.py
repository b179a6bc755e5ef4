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
