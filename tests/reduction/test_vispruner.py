import numpy as np
import pytest
import torch

from tokviz.reduction import reduce
from tokviz.reduction.vispruner import thinned


def test_worked_example(t9):
    reduction = reduce("vispruner", t9, 6, step=2)
    assert set(reduction.roles["important"]) == {0, 3, 7}
    assert list(reduction.order[3:]) == [6, 4, 5]
    assert list(reduction.kept) == [0, 3, 4, 5, 6, 7]


def test_one_round_of_the_worked_example(t9):
    rest = np.array([8, 4, 6, 1, 2, 5])
    assert list(thinned(rest, torch.as_tensor(t9["feats_pre"]), 4, 2)) == [6, 4, 1, 5]


@pytest.mark.parametrize("keep", [8, 10, 14, 30, 58, 62])
def test_budgets_at_which_the_official_code_fails(keep, random_signals):
    reduction = reduce("vispruner", random_signals(576), keep)
    assert reduction.m == keep
    assert len(reduction.roles["important"]) == keep // 2


def test_all_of_the_budget_can_be_diverse_or_important(random_signals):
    signals = random_signals(20)
    attention_only = reduce("vispruner", signals, 6, important=1)
    assert list(attention_only.kept) == list(reduce("fastervlm", signals, 6).kept)
    assert reduce("vispruner", signals, 6, important=0).m == 6
