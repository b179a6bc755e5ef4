"""Deletion curves with several fillings: removal itself shifts the input."""

import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.examine.fillings import fillings, sentence


def worth(weights):
    return lambda kept: np.array([float(weights[tokens].sum()) for tokens in kept])


def test_a_map_may_be_good_with_one_filling_and_not_with_another():
    weights = np.array([0.0, 5, 0, 1, 0, 0, 0, 0])
    found = fillings({"removal": worth(weights), "mean": worth(-weights)}, weights)
    assert found["removal"].beats_chance
    assert found["removal"].none == 0
    assert "every filling" not in sentence(found) or found["mean"].beats_chance
    assert sentence({"removal": found["removal"]}) == (
        "The map is better than chance with every filling."
    )


def test_a_map_without_information_beats_nothing():
    found = fillings({"removal": worth(np.ones(8))}, np.ones(8))
    assert sentence(found) == "The map is no better than chance with any filling."


def test_no_token_is_refused():
    with pytest.raises(InputError, match="no visual tokens"):
        fillings({}, np.zeros(0))
