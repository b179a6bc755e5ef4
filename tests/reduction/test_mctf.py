import numpy as np
import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.mctf import merged_attention, pair_weights

DEGREES = [0, 0, 10, 90, 100, 45]
"""[CLS] and five patches."""
ATTENTION = torch.tensor([0.3, 0.1, 0.1, 0.2, 0.2, 0.1])
SIZES = torch.tensor([1.0, 1, 1, 1, 2, 1])


def states():
    radians = torch.deg2rad(torch.tensor(DEGREES, dtype=torch.float64))
    return torch.stack([radians.cos(), radians.sin()], 1)


def toy(**more):
    return {"hidden": states()[1:], "recv_attn": ATTENTION[1:], "sizes": SIZES[1:], **more}


def test_the_three_criteria_multiply():
    table = pair_weights(states() @ states().T, ATTENTION, SIZES, (1, 20, 40))
    np.testing.assert_allclose(table[2, [1, 3, 5]], [0.992404, 0.566835, 0.909576], atol=1e-6)
    np.testing.assert_allclose(table[4, [1, 3, 5]], [0.392245, 0.910038, 0.746931], atol=1e-6)


def test_toy_groups_order_and_pooling():
    r = reduce("mctf", toy(), keep=3)
    assert r.group.tolist() == [2, 2, 0, 0, 1]
    pooled = r.apply(states()[1:].numpy())
    np.testing.assert_allclose(pooled[0], [-0.115765, 0.989872], atol=1e-6)
    np.testing.assert_allclose(r.matrix()[0, 2:4], [1 / 3, 2 / 3], rtol=1e-6)


def test_one_way_matching_leaves_odd_places_last():
    r = reduce("mctf", toy(), keep=3, bidirectional=False)
    assert r.group.tolist() == [0, 0, 1, 1, 2]


def test_reused_attention_keeps_its_sum():
    r = reduce("mctf", toy(), keep=3)
    row = merged_attention(np.tile(ATTENTION[1:].numpy(), (5, 1)), r)
    np.testing.assert_allclose(row, np.tile([0.4, 0.1, 0.2], (3, 1)), rtol=1e-6)


@pytest.mark.parametrize(("keep", "first"), [(64, 1), (5, 1), (3, 0)])
def test_block_zero_is_used_only_when_the_budget_needs_it(keep, first):
    assert METHODS["mctf"].stages(144, keep, 6)[0].layer == first
