import numpy as np
import pytest

from tokviz.errors import MissingSignal
from tokviz.reduction import reduce


def test_worked_example(t9):
    reduction = reduce("fastervlm", t9, 4)
    assert list(reduction.order) == [3, 0, 7, 8]
    assert list(reduction.kept) == [0, 3, 7, 8]
    assert np.allclose(reduction.score, [0.2, 0.045, 0.035, 0.21, 0.065, 0.025, 0.06, 0.14, 0.07])


def test_permuted_tokens_give_the_permuted_choice(random_signals):
    signals = random_signals(20)
    shuffle = np.random.default_rng(1).permutation(20)
    attention = signals["cls_attn"][4]
    there = reduce("fastervlm", {"cls_attn": attention}, 7).order
    back = reduce("fastervlm", {"cls_attn": attention[:, shuffle]}, 7).order
    assert list(shuffle[back]) == list(there)


def test_without_cls_received_attention_is_used_and_said():
    reduction = reduce("fastervlm", {"recv_attn": [0.1, 0.5, 0.4]}, 1)
    assert list(reduction.kept) == [1]
    assert "no [CLS]" in reduction.notes[0]


def test_missing_signal_is_named():
    with pytest.raises(MissingSignal, match="cls_attn"):
        reduce("fastervlm", {"feats_post": np.ones((3, 2))}, 1)


def test_layer_is_the_one_asked_for():
    layers = {i: np.eye(4)[i] for i in range(4)}
    assert list(reduce("fastervlm", {"cls_attn": layers}, 1).kept) == [2]
    assert list(reduce("fastervlm", {"cls_attn": layers}, 1, layer=0).kept) == [0]
