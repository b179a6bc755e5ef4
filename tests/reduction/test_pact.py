import numpy as np
import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.pact import bounded_peaks, cutoff_for


def angles(*degrees):
    radians = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([radians.cos(), radians.sin()], 1)


KEYS = angles(0, 8, 40, 44, 90, 95)
DISTANCES = 1 - KEYS @ KEYS.T


def test_centres_and_clusters_of_the_toy():
    centres, cluster = bounded_peaks(DISTANCES, 0.05)
    assert centres.tolist() == [1, 3, 4]
    assert centres[cluster].tolist() == [1, 1, 3, 3, 4, 4]


def test_no_token_is_farther_than_the_cutoff_from_its_centre():
    x = torch.nn.functional.normalize(
        torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    )
    distances = 1 - x @ x.T
    centres, cluster = bounded_peaks(distances, 0.21)
    assert (distances[torch.arange(60), centres[cluster]] <= 0.21).all()


def test_the_cutoff_rises_until_the_budget_holds():
    assert cutoff_for(DISTANCES, 0.05, 3) == 0.05
    raised = cutoff_for(DISTANCES, 0.05, 2)
    assert raised > 0.05
    assert len(bounded_peaks(DISTANCES, raised)[0]) <= 2


def toy():
    hidden = np.array([1.0, 2, 1, 1, 1, 4])[:, None]
    attention = [0.30, 0.10, 0.20, 0.25, 0.05, 0.10]
    return {"llm_hidden": hidden, "llm_attn_mean_query": attention, "llm_keys": KEYS}


def test_importance_is_attention_times_length():
    r = reduce("pact", toy(), keep=5, cutoff=0.01, recover=0)
    assert r.score == pytest.approx([0.30, 0.20, 0.20, 0.25, 0.05, 0.40])
    assert r.kept.tolist() == [0, 3, 5]  # int(0.55 * 6) of them


def test_pruned_tokens_near_a_centre_are_merged_back():
    r = reduce("pact", toy(), keep=5, cutoff=0.05)
    assert r.group.tolist() == [0, 0, 1, 1, 2, 2]
    assert r.position.tolist() == [0, 3, 5]  # the centres' places
    assert r.matrix().sum(1) == pytest.approx([1, 1, 1])


def test_one_decision_before_layer_four():
    assert [(s.layer, s.keep) for s in METHODS["pact"].stages(576, 64, 32)] == [(4, 64)]
