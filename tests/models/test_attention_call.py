"""Rows computed from one attention call are the plain softmax, with any kind of mask."""

import pytest
import torch

from tokviz.models.attention_call import AttentionCall

HEADS, KEY_HEADS, QUERIES, KEYS, WIDTH = 4, 2, 3, 5, 8
SCALE = 0.3


@pytest.fixture
def tensors():
    """Query [1, 4, 3, 8], key and value [1, 2, 5, 8]."""
    drawn = torch.Generator().manual_seed(0)
    shapes = [(1, HEADS, QUERIES, WIDTH), *[(1, KEY_HEADS, KEYS, WIDTH)] * 2]
    return [torch.randn(shape, generator=drawn) for shape in shapes]


def visible():
    """Bool [1, 1, q, k]: each query sees up to itself, and none sees key 1."""
    seen = torch.ones(QUERIES, KEYS, dtype=torch.bool).tril(KEYS - QUERIES)
    seen[:, 1] = False
    return seen[None, None]


MASKS = {
    "bool": visible(),
    "additive": torch.zeros(1, 1, QUERIES, KEYS).masked_fill(~visible(), float("-inf")),
    "additive, not only hiding": torch.linspace(-2, 2, QUERIES * KEYS).view(1, 1, QUERIES, KEYS),
}


def by_hand(query, key, mask):
    """Float32 [1, h, q, k], key heads repeated for the query heads that share them."""
    key = key.repeat_interleave(HEADS // KEY_HEADS, 1)
    logits = query @ key.transpose(-1, -2) * SCALE
    if mask.dtype == torch.bool:
        return logits.masked_fill(~mask, float("-inf")).softmax(-1)
    return (logits + mask).softmax(-1)


@pytest.mark.parametrize("kind", MASKS)
def test_rows_and_the_last_row_are_the_masked_softmax(tensors, kind):
    mask = MASKS[kind]
    call = AttentionCall(torch.nn.Identity(), *tensors, mask, SCALE, False)
    expected = by_hand(*tensors[:2], mask)
    torch.testing.assert_close(call.rows(torch.tensor([0, 2])), expected[:, :, [0, 2]])
    torch.testing.assert_close(call.last_row(), expected[0, :, -1])
    assert call.last_products() is None
