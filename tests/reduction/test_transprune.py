import numpy as np
import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.transprune import transition

INPUTS = torch.tensor([[1.0, 0], [0, 1], [1, 1], [2, 0]])
OUTPUTS = torch.tensor([[2.0, 0], [1, 0], [-1, -1], [0, -4]])


def decide(change, guided, variant="code"):
    signals = {"llm_transition": change, "llm_peek_text": [[guided]]}
    return reduce("transprune", signals, keep=1, variant=variant)


def test_transition_of_the_code():
    change = transition(INPUTS, OUTPUTS, torch.arange(4))
    np.testing.assert_allclose(change, [0.1447, 0.1966, 0.5344, 0.3932], atol=5e-5)


def test_transition_of_the_paper_ignores_the_sign():
    change = transition(INPUTS, OUTPUTS, torch.tensor([1, 2]), "paper")
    np.testing.assert_allclose(change, [0.7311, 0.2689], atol=5e-5)


def test_both_terms_are_normalised_in_the_code():
    change = transition(INPUTS, OUTPUTS, torch.tensor([1, 2]))
    assert decide(change, [0.3, 0.1]).score == pytest.approx([1.0189, 0.9811], abs=5e-5)


def test_second_toy():
    r = decide([0.06, 0.02, 0.01, 0.01], [0.05, 0.05, 0.20, 0.10])
    assert r.score == pytest.approx([0.725, 0.325, 0.600, 0.350], abs=1e-6)


def test_the_paper_adds_halves():
    r = decide([0.06, 0.02], [0.05, 0.20], "paper")
    assert r.score == pytest.approx([0.055, 0.11])
    assert r.kept.tolist() == [1]


@pytest.mark.parametrize(
    ("layers", "stages"),
    [(32, [(7, 504), (9, 360), (12, 72)]), (8, [(3, 72)]), (6, [(2, 72)]), (4, [(2, 72)])],
)
def test_published_schedule_with_a_watched_layer_before_it(layers, stages):
    found = METHODS["transprune"].stages(576, 72, layers)
    assert [(s.layer, s.keep) for s in found] == stages
