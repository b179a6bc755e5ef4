import torch

from tokviz.reduction.parts.exits import leave

SCORE = torch.tensor([0.1, 0.4, 0.3, 0.4])


def test_everything_leaves_at_once():
    assert leave(SCORE, 2, everything=True).m == 0


def test_or_the_best_stay_ties_to_the_lower_index():
    assert leave(SCORE, 2, everything=False).order.tolist() == [1, 3]


def test_nothing_leaves_when_all_may_stay():
    whole = leave(SCORE, 4, everything=True, notes=("said",))
    assert (whole.m, whole.is_selection, whole.notes) == (4, True, ("said",))
