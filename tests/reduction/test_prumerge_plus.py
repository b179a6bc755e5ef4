import numpy as np

from tokviz.reduction import reduce


def test_worked_example(t9):
    signals = {**t9, "cls_attn": [0.6] + [0.05] * 8}
    reduction = reduce("prumerge_plus", signals, 9)
    assert list(reduction.order) == [0, 3, 6]
    assert reduction.m == 4


def test_many_outliers_do_not_break_the_step(t9):
    attention = np.array([0.5, 0.5, 0.5, 0.5, 0.01, 0.01, 0.01, 0.01, 0.01])
    assert reduce("prumerge_plus", {**t9, "cls_attn": attention}, 8).m <= 8


def test_budget_thins_the_even_sample_before_the_outliers(random_signals):
    signals = random_signals(100)
    del signals["q"]
    signals["cls_attn"] = np.r_[np.full(3, 0.2), np.full(97, 0.001)]
    reduction = reduce("prumerge_plus", signals, 6)
    assert set(reduction.roles["outlier"]) == {0, 1, 2}
    assert len(reduction.roles["spread"]) == 2
    assert reduction.m == 6


def test_fixed_budget_is_met_exactly(random_signals):
    for keep in (2, 7, 30, 63):
        assert reduce("prumerge_plus", random_signals(64), keep, count="budget").m == keep
