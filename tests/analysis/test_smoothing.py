import numpy as np
import pytest
import torch

import tokviz
from tokviz.errors import InputError
from tokviz.models.runs.state_curves import curves_of


def test_similarity_rises_from_the_first_layer_to_the_last(toy, runs):
    found = tokviz.analyse("smoothing", toy, runs={"state_curves": runs["state_curves"]})
    assert found["rises"].values == pytest.approx(0.8)
    assert found.labels["m"] == ("image", "text")


def test_curves_of_another_model_are_refused(toy):
    wrong = {"similarity": np.zeros((3, 2))}
    with pytest.raises(InputError, match=r"similarity must be \[4, 2\]"):
        tokviz.analyse("smoothing", toy, runs={"state_curves": lambda: wrong})


def test_worked_curves():
    """Two equal rows and one at a right angle: one pair of three is alike."""
    similarity, constant, rank = curves_of(torch.tensor([[1.0, 0], [1, 0], [0, 1]]))
    assert similarity == pytest.approx(1 / 3)
    assert constant == pytest.approx(3 * (4 / 9 + 1 / 9) / 3)
    share = np.array([2**0.5, 1]) / (2**0.5 + 1)
    assert rank == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-5)


def test_equal_rows_are_all_constant_and_of_rank_one():
    similarity, constant, rank = curves_of(torch.ones(4, 3))
    assert (similarity, constant, rank) == pytest.approx((1, 1, 1), rel=1e-5)
    assert np.isnan(curves_of(torch.ones(1, 3))[0])
    assert curves_of(torch.ones(0, 3))[2] == 0


def test_the_similarity_is_that_of_all_pairs():
    states = torch.randn(7, 5, generator=torch.Generator().manual_seed(3))
    unit = torch.nn.functional.normalize(states, dim=-1)
    pairs = (unit @ unit.T)[~torch.eye(7, dtype=torch.bool)]
    assert curves_of(states)[0] == pytest.approx(float(pairs.mean()), abs=1e-6)
