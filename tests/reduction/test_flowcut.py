import numpy as np
import pytest
import torch

from tokviz.errors import InputError
from tokviz.reduction import reduce
from tokviz.reduction.flowcut import combined, layer_scores, prune_count
from tokviz.reduction.selection import top_k

RELATION = torch.tensor([0.2, 0.045, 0.035, 0.21, 0.065, 0.025, 0.06, 0.14, 0.07])
SEMANTIC = torch.tensor([0.1, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1])
DENSITY = torch.tensor([1.0, 1, 2, 1, 3, 1, 1, 1, 1])


def test_worked_example_of_two_layers():
    first = combined(RELATION, SEMANTIC, DENSITY)
    expected = [0.3353, 0.1529, 0.2824, 0.3471, 0.8294, 0.1294, 0.1706, 0.2647, 0.1824]
    assert np.allclose(first, expected, atol=1e-4)
    assert prune_count(RELATION / RELATION.sum(), 4, 4) == 1
    left = top_k(first, 8).sort().values
    assert left.tolist() == [0, 1, 2, 3, 4, 6, 7, 8]
    raw = torch.tensor([0.3, 0.05, 0.1, 0.2, 0.15, 0.05, 0.05, 0.1])
    second = combined(raw, raw, torch.ones(8))
    assert np.allclose(second, [0.6, 0.1, 0.2, 0.4, 0.3, 0.1, 0.1, 0.2])
    running = 0.5 * first[left] + 0.5 * second
    assert np.allclose(
        running, [0.4676, 0.1265, 0.2412, 0.3735, 0.5647, 0.1353, 0.1824, 0.1912], atol=1e-4
    )
    assert sorted(left[top_k(running, 8 - prune_count(raw, 4, 0))].tolist()) == [0, 2, 3, 4]


@pytest.mark.parametrize(("remaining", "dropped"), [(4, 1), (1, 3)])
def test_peaked_attention_prunes_more(remaining, dropped):
    assert prune_count(torch.tensor([0.6] + [0.05] * 8), 4, remaining) == dropped


def test_even_attention_prunes_nothing_before_the_end():
    assert prune_count(torch.full((9,), 1 / 9), 4, 4) == 0
    assert prune_count(torch.full((9,), 1 / 9), 4, 0) == 5


def test_attention_of_exactly_zero_is_no_accident():
    relation = torch.tensor([0.5, 0.5, 0.0, 0.0])
    assert prune_count(relation, 1, 1) == round(3 * (1 - 0.25))


def test_scores_of_a_layer_follow_their_definition(random_signals):
    signals = random_signals(6)
    attention = torch.as_tensor(signals["cls_attn"][0])
    values = torch.as_tensor(signals["v"][0])
    scores, relation = layer_scores(attention, values, torch.arange(6))
    for j in range(6):
        soft = [np.exp(v[0] @ v.T) / np.exp(v[0] @ v.T).sum() for v in values.numpy()]
        semantic = np.mean(soft, 0)[1:]
        density = np.abs(values.numpy().mean(0)[1 + j]).sum()
        expected = (float(relation[j]) + semantic[j] / semantic.sum()) * density
        assert float(scores[j]) == pytest.approx(expected, rel=1e-4)


def test_value_of_cls_is_required(random_signals):
    signals = random_signals(9)
    signals["v"] = {i: v[:, 1:] for i, v in signals["v"].items()}
    with pytest.raises(InputError, match=r"\[CLS\] first"):
        reduce("flowcut", signals, 4)
