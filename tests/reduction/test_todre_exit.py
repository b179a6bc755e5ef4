import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.todre_exit import exit_layer

MASS = [0.5, 0.4, 0.3, 0.04, 0.02]


def toy(mass, layers=5):
    return {"llm_text_mass": mass, "llm_attn_last": [0.1, 0.4, 0.2], "num_layers": layers}


@pytest.mark.parametrize(("start", "layer"), [(2, 3), (4, 4), (5, None)])
def test_exit_is_the_first_layer_below_a_tenth_of_the_peak(start, layer):
    assert exit_layer(torch.tensor(MASS), start, 0.1) == layer


def test_everything_leaves_once_the_text_looks_away():
    r = reduce("todre_exit", toy(MASS), keep=2, start=0.5)
    assert r.m == 0
    assert (r.fate == 2).all()
    assert "layer 3" in r.notes[0]


def test_a_budget_can_stay_behind():
    r = reduce("todre_exit", toy(MASS), keep=2, start=0.5, everything=False)
    assert r.kept.tolist() == [1, 2]


def test_nothing_leaves_while_the_text_still_looks():
    r = reduce("todre_exit", toy([0.5, 0.4, 0.3, 0.3, 0.3]), keep=2)
    assert r.kept.tolist() == [0, 1, 2]
    assert "still attends" in r.notes[0]


def test_every_layer_from_seven_eighths_on_is_looked_at():
    assert [s.layer for s in METHODS["todre_exit"].stages(576, 1, 32)] == [29, 30, 31]
