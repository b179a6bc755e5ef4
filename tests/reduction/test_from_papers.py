"""Methods without official code: what their descriptions say."""

import numpy as np
import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.agilepruner import apart, effective_rank

ATTENTION = [[0.4, 0.3, 0.2, 0.1]]
STATES = [[1.0, 0], [1, 0.1], [0, 1], [0.7, 0.7]]


@pytest.mark.parametrize("name", ["d2pruner", "agilepruner", "iwp"])
def test_they_are_marked_as_stand_ins(name):
    assert not METHODS[name].verified


def test_d2pruner_takes_pivots_then_what_is_not_alike():
    given = {"llm_attn_last": [[0.4, 0.1, 0.3, 0.2]], "llm_hidden": STATES}
    done = reduce("d2pruner", given, 3, pivots=0.4, alike=0.6)
    # pivot 0; 2 bars 3 (cosine 0.71), then 1
    assert done.order.tolist() == [0, 2, 1]
    assert done.roles["pivot"].tolist() == [0]
    assert "not divided out" in done.notes[0]


def test_d2pruner_fills_up_with_barred_tokens():
    given = {"llm_attn_last": ATTENTION, "llm_hidden": np.ones((4, 2), np.float32)}
    assert reduce("d2pruner", given, 3, pivots=0.4).order.tolist() == [0, 1, 2]


def test_d2pruner_divides_by_the_mean_attention_of_a_place():
    given = {"llm_attn_last": ATTENTION, "llm_hidden": STATES, "llm_attn_prior": [4, 1, 1, 0.1]}
    done = reduce("d2pruner", given, 1)
    assert done.kept.tolist() == [3]
    assert not done.notes


def test_agilepruner_bars_what_is_near_and_fills_up():
    distance = torch.tensor([[0, 0.1, 0.9, 0.9], [0.1, 0, 0.9, 0.9], [0.9, 0.9, 0, 0.5]])
    distance = torch.cat([distance, torch.tensor([[0.9, 0.9, 0.5, 0]])])
    assert apart(distance, 0.2, 1.0, 3) == [0, 2, 3]
    assert apart(distance, 0.3, 1.0, 3) == [0, 2, 1]  # the second bars up to 0.6
    assert apart(distance, 0.3, 0.05, 3) == [0, 1, 2]


def test_effective_rank_counts_directions():
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.ones(5, 5)) == pytest.approx(1, abs=1e-3)


def test_agilepruner_says_the_rank_and_takes_a_given_average(random_signals):
    signals = random_signals(18)
    given = {name: signals[name] for name in ("feats_pre", "cls_attn", "num_layers")}
    plain = reduce("agilepruner", given, 14)
    assert "effective rank" in plain.notes[-1]
    wide = reduce("agilepruner", given, 14, average_rank=1, largest=2)
    assert wide.order.tolist() != plain.order.tolist()


def test_iwp_weighs_size_against_repetition():
    keys = [[[2.0, 0], [1.9, 0], [0, 1], [0, 0.1]]]
    values = [[[1.0, 0], [1, 0], [1, 0], [1, 0]]]
    given = {"llm_keys_before": keys, "llm_values_before": values}
    assert reduce("iwp", given, 2).order.tolist() == [0, 2]
    assert reduce("iwp", given, 2, magnitude=1).order.tolist() == [0, 1]
