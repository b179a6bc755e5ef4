import numpy as np
import pytest
import torch

from tokviz.errors import InputError
from tokviz.reduction import METHODS, reduce
from tokviz.reduction.flowcut import NO_CLS, combined, layer_scores, prune_count
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.signals import Signals

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


def step(attention, size, layer, **carried):
    """One decision of an eleven-layer tower; the [CLS] value is 0, so likeness is even."""
    values = torch.zeros(1, len(attention) + 1, 1)
    values[0, 1:, 0] = torch.as_tensor(size)
    given = {"cls_attn": attention, "v": values, "layer": layer, "layers_run": 11, **carried}
    return reduce("flowcut", given, 4)


def test_the_running_score_is_carried_from_decision_to_decision():
    """The worked example with an even likeness: score = (r + 1/n) d, then half of each."""
    first = step(RELATION, DENSITY, 5)
    score = (RELATION / RELATION.sum() + 1 / 9) * DENSITY
    assert np.allclose(first.score, score)
    assert first.kept.tolist() == [0, 1, 2, 3, 4, 6, 7, 8]
    raw = [0.3, 0.05, 0.1, 0.2, 0.15, 0.05, 0.05, 0.1]
    carried = torch.as_tensor(first.score)[first.kept]
    second = step(torch.tensor(raw), torch.ones(8), 9, carried=carried)
    assert np.allclose(second.score, 0.5 * carried + 0.5 * (torch.tensor(raw) + 1 / 8))
    assert first.kept[second.kept].tolist() == [0, 2, 3, 4]


def test_a_layer_with_an_odd_number_still_to_come_only_scores():
    scored = step(RELATION, DENSITY, 6)
    assert scored.m == 9
    assert scored.score is not None
    assert [s.layer for s in METHODS["flowcut"].stages(9, 4, 11)] == list(range(10))


@pytest.mark.parametrize(("remaining", "dropped"), [(4, 1), (1, 3)])
def test_peaked_attention_prunes_more(remaining, dropped):
    assert prune_count(torch.tensor([0.6] + [0.05] * 8), 4, remaining) == dropped


def test_worked_example_of_value_size_and_running_score():
    attention, likeness = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    score = combined(attention, likeness, torch.tensor([1.0, 2, 1]))
    assert score.tolist() == pytest.approx([0.7, 1.0, 0.8])
    running = 0.5 * torch.tensor([1.0, 0, 0]) + 0.5 * score
    assert running.tolist() == pytest.approx([0.85, 0.5, 0.4])
    assert prune_count(torch.tensor([0.7, 0.1, 0.1, 0.1]), 1, 4) == 1
    assert prune_count(torch.full((4,), 0.25), 1, 4) == 0


def test_even_attention_prunes_nothing_before_the_end():
    assert prune_count(torch.full((9,), 1 / 9), 4, 4) == 0
    assert prune_count(torch.full((9,), 1 / 9), 4, 0) == 5


def test_attention_of_exactly_zero_is_no_accident():
    relation = torch.tensor([0.5, 0.5, 0.0, 0.0])
    assert prune_count(relation, 1, 1) == round(3 * (1 - 0.25))


@pytest.mark.parametrize("variant", ["code", "paper"])
def test_scores_of_a_layer_follow_their_definition(variant, random_signals):
    signals = random_signals(6)
    values = signals["v"][0]
    scores, relation = layer_scores(Signals(signals), 0, torch.arange(6), variant)
    for j in range(6):
        soft = []
        for v in values:
            u = v if variant == "code" else v / np.linalg.norm(v, axis=1, keepdims=True)
            soft.append(np.exp(u[0] @ u.T) / np.exp(u[0] @ u.T).sum())
        semantic = np.mean(soft, 0)[1:]
        density = np.abs(values.mean(0)[1 + j]).sum()
        expected = (float(relation[j]) + semantic[j] / semantic.sum()) * density
        assert float(scores[j]) == pytest.approx(expected, rel=1e-4)


def test_a_complete_tower_is_read_layer_by_layer(random_signals):
    """Two decisions, then the cut, each on the patches that are left."""
    signals = random_signals(12)
    done = reduce("flowcut", signals, 5)
    left, carried = np.arange(12), {}
    for layer in range(4):
        now = {
            "cls_attn": signals["cls_attn"][layer][:, left],
            "v": signals["v"][layer][:, np.r_[0, 1 + left]],
            "layer": layer,
            "layers_run": 5,
        }
        r = reduce("flowcut", {**now, **carried}, min(5, len(left)))
        carried = {"carried": r.score[r.kept]}
        left = left[r.kept]
        if len(left) == 5:
            break
    assert done.kept.tolist() == left.tolist()


def test_without_cls_the_mean_query_looks_and_it_is_said():
    """Attention of the mean query times the size of the value, as for Qwen2-VL."""
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 2, 6, 4)).astype(np.float32)
    states = {"q": q, "k": k, "v": v, "index": np.arange(6)}
    r = reduce("flowcut", {**states, "layer": 3, "num_layers": 6}, 2)
    logits = np.stack([q[h].mean(0) @ k[h].T / 2 for h in range(2)])
    relation = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).mean(0)
    expected = relation * np.abs(v.mean(0)).sum(1)
    assert np.allclose(r.score, expected, rtol=1e-4)
    assert r.kept.tolist() == sorted(np.argsort(-expected)[:2])
    assert r.notes == (NO_CLS,)


def test_value_of_cls_is_required(random_signals):
    signals = random_signals(9)
    signals["v"] = {i: v[:, 1:] for i, v in signals["v"].items()}
    with pytest.raises(InputError, match=r"\[CLS\] first"):
        reduce("flowcut", signals, 4)
