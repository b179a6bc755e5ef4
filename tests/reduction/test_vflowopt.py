import numpy as np
import pytest
import torch

from tokviz.errors import MissingSignal
from tokviz.reduction import reduce
from tokviz.reduction.signals import Signals
from tokviz.reduction.vflowopt import entropies, importance_map, patch_entropy

MEAN = [0.2, 0.045, 0.035, 0.21, 0.065, 0.025, 0.06, 0.14, 0.07]
SIGNALS = {"recv_attn": MEAN, "grid": [3, 3]}


def test_worked_example_of_recycling():
    reduction = reduce("vflowopt", SIGNALS, 5, cell=1.5)
    assert list(reduction.position) == [0, 2, 3, 7, 8]
    values = reduction.apply(np.arange(9, dtype=np.float32)[:, None])[:, 0]
    assert np.allclose(values, [0.984, 3.25, 3, 6.7, 8], atol=1e-3)
    assert np.allclose(reduction.matrix()[0, [0, 1, 4]], [0.6452, 0.1452, 0.2097], atol=1e-4)
    assert list(reduction.kept) == [3, 8]


def test_worked_example_of_importance():
    logits = torch.tensor([[3.0, 1, 0], [2, 1, 0], [2.5, 0, 1]])
    score, found = importance_map(logits.softmax(1), 1.2)
    assert found
    assert np.allclose(logits.softmax(1).mean(0), [0.7584, 0.1406, 0.1010], atol=1e-4)
    assert np.allclose(score, [0.8438, 0.1142, 0.0420], atol=1e-4)


def test_no_global_patch_falls_back_to_all_and_says_so(random_signals):
    reduction = reduce("vflowopt", random_signals(16), 6, threshold=1000)
    assert "No patch passed" in reduction.notes[0]
    assert np.isfinite(reduction.score).all()


def test_every_row_is_a_mean_and_no_token_is_lost(random_signals):
    reduction = reduce("vflowopt", random_signals(100), 30)
    assert np.allclose(reduction.matrix().sum(1), 1, atol=1e-5)
    assert (reduction.group >= 0).all()


def test_tiles_and_thumbnail_are_never_mixed(random_signals):
    signals = random_signals(27, crops=True)
    signals.pop("grid")
    reduction = reduce("vflowopt", {**signals, "grid": [3, 9]}, 5)
    thumb = np.arange(27) < 9
    for row in reduction.matrix():
        assert len(set(thumb[row != 0])) == 1


def test_one_token_can_stand_for_thumbnail_and_tiles(random_signals):
    reduction = reduce("vflowopt", {**random_signals(27, crops=True), "grid": [3, 9]}, 1)
    assert reduction.m == 1
    assert (reduction.matrix() > 0).all()
    assert "enlarged" in reduction.notes[-1]


def test_busy_patch_has_more_entropy():
    pixels = np.zeros((3, 8, 8), np.float32)
    pixels[:, :4, :4] = np.random.default_rng(0).random((4, 4))
    entropy = patch_entropy(Signals({"pixels": pixels, "grid": [2, 2]}))
    assert entropy.argmax() == 0
    assert np.allclose(entropy[1:], 0)


def test_entropy_can_decide(random_signals):
    signals = random_signals(16)
    plain, busy = (reduce("vflowopt", signals, 6, entropy=e).score for e in (0, 1))
    assert not np.allclose(plain, busy)


def published_entropies(pixels, side):
    """The official computation for pixels from 0 to 1: channels to bytes, grey, bits."""
    found = []
    for top in range(0, pixels.shape[1] - side + 1, side):
        for left in range(0, pixels.shape[2] - side + 1, side):
            patch = (pixels[:, top : top + side, left : left + side] * 255).to(torch.uint8)
            grey = sum(0.3333 * channel.float() for channel in patch).round()
            share = torch.stack([(grey == level).float().mean() for level in range(256)])
            found.append(-(share * (share + 1e-10).log2()).sum())
    return torch.stack(found)


@pytest.mark.parametrize("seed", range(5))
def test_entropies_are_the_official_ones(seed):
    """They were once in nats: the softmax over them is then another one."""
    pixels = torch.rand(3, 42, 56, generator=torch.Generator().manual_seed(seed))
    pixels[:, :14, :14] = 1.0
    ours = entropies(pixels, 3, 4)
    np.testing.assert_allclose(ours, published_entropies(pixels, 14), atol=1e-4)
    assert ours[0] == 0


def test_entropies_of_ones_own_are_used(random_signals):
    given = {k: v for k, v in random_signals(16).items() if k != "pixels"}
    own = {**given, "patch_entropy": np.eye(16)[3] * 50}
    assert reduce("vflowopt", own, 6, entropy=1).score.argmax() == 3
    with pytest.raises(MissingSignal, match="'pixels' is missing"):
        reduce("vflowopt", given, 6, entropy=1)
