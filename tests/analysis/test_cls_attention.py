import numpy as np
import pytest

import tokviz
from tokviz.errors import MissingSignal


def test_heads_are_averaged_at_the_feature_layer(make_trace):
    heads = np.zeros((3, 2, 6), np.float16)
    heads[1, :, :3] = [[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]]
    mean = heads.astype(np.float32).mean(1).astype(np.float16)
    trace = make_trace(cls_attention=mean, cls_attention_heads=heads)
    result = tokviz.analyse("cls_attention", trace)
    np.testing.assert_allclose(result.values, [0.3, 0.5, 0.2, 0, 0, 0], atol=1e-3)
    assert not result.notes
    np.testing.assert_array_equal(tokviz.analyse("cls_attention", trace, layer=0).values, 0)


def test_one_head_is_the_stored_row(toy):
    values = tokviz.analyse("cls_attention", toy, layer=-1, head=1).values
    np.testing.assert_array_equal(values, [0.125, 0.75, 0.125, 0, 0, 0])


def test_a_tower_without_cls_falls_back_to_received_attention_and_says_so(make_trace):
    received = np.full((3, 6), 0.125, np.float16)
    trace = make_trace(cls_attention=None, cls_attention_heads=None, received_attention=received)
    result = tokviz.analyse("cls_attention", trace)
    np.testing.assert_array_equal(result.values, received[1])
    assert "no [CLS]" in result.notes[0]
    with pytest.raises(MissingSignal, match="head means only"):
        tokviz.analyse("cls_attention", trace, head=0)
    one = make_trace(
        cls_attention=None, cls_attention_heads=None, received_attention=received[1:2],
        received_layers=np.array([1], np.int32),
    )  # fmt: skip
    np.testing.assert_array_equal(tokviz.analyse("cls_attention", one).values, received[1])
    np.testing.assert_array_equal(tokviz.analyse("cls_attention", one, layer=1).values, received[1])
    with pytest.raises(MissingSignal, match="in tower layer 1, not in 0: answer again with"):
        tokviz.analyse("cls_attention", one, layer=0)
