"""Rows computed from one attention call are the plain softmax, with any kind of mask."""

import pytest
import torch

from tokviz.models.attention_call import AttentionCall, seen_keys

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
    assert call.last_query() is None


@pytest.mark.parametrize("additive", [False, True])
def test_padding_counts_neither_as_keys_nor_as_queries_of_received_attention(tensors, additive):
    """As of the patches alone, without the two that fill the second of two rows up."""
    query, key, value = (torch.cat([one, one]).repeat(1, 1, 2, 1)[:, :, :5] for one in tensors)
    seen = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    seen[1, ..., 3:] = False
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo().min) if additive else seen
    mask = mask.expand(-1, -1, 5, -1)
    call = AttentionCall(torch.nn.Identity(), query, key, value, mask, SCALE, False)
    call.counted = seen_keys(mask, 2)
    assert call.counted.tolist() == [[1.0] * 5, [1.0] * 3 + [0.0] * 2]
    for row, patches in ((0, 5), (1, 3)):
        alone = call.of(row).within(slice(0, patches)).received()
        torch.testing.assert_close(call.received()[row, :patches], alone[0])
        torch.testing.assert_close(call.of(row).received()[0, :patches], alone[0])
    assert not call.received()[1, 3:].any()
