import torch

from tokviz.reduction import reduce
from tokviz.reduction.parts.similarity import cosines
from tokviz.reduction.token_corr import look_alikes


def test_worked_example(t9):
    counts = look_alikes(cosines(torch.as_tensor(t9["feats_pre"])), 0.95)
    assert list(counts) == [2, 2, 1, 2, 0, 1, 1, 0, 1]
    reduction = reduce("token_corr", t9, 9)
    assert list(reduction.roles["redundant"]) == [0, 1, 3]
    assert reduction.m == 6


def test_budget_is_an_upper_limit(t9):
    assert reduce("token_corr", t9, 4).m == 4


def test_crop_full_of_look_alikes_keeps_less(random_signals):
    signals = random_signals(27, crops=True)
    keys = signals["k"][4].copy()
    keys[:, 10:19] = keys[:, 10:11]
    reduction = reduce("token_corr", {**signals, "k": keys}, 12)
    kept = [((reduction.kept >= a) & (reduction.kept < a + 9)).sum() for a in (0, 9, 18)]
    assert kept[1] == 0
    assert kept[0] > 0
    assert kept[2] > 0
