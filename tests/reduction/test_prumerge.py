import numpy as np
import pytest

from tokviz.reduction import reduce
from tokviz.reduction.parts.selection import single_head_cls
from tokviz.reduction.prumerge import outliers
from tokviz.reduction.signals import Signals

FEATURES = np.stack([np.arange(9.0), 10 * np.arange(9.0)], 1).astype(np.float32)
ATTENTION = [0.4, 0.04, 0.05, 0.3, 0.03, 0.05, 0.04, 0.04, 0.05]


def test_worked_example(t9):
    signals = {**t9, "cls_attn": ATTENTION}
    reduction = reduce("prumerge", signals, 9, neighbours=2)
    assert list(reduction.order) == [0, 3]
    out = reduction.apply(FEATURES)
    assert np.allclose(out, [[0.94, 9.4], [3.04, 30.4], [1.43, 14.3]], atol=1e-5)


def test_row_sums_are_the_documented_raw_sums(t9):
    signals = {**t9, "cls_attn": ATTENTION}
    code = reduce("prumerge", signals, 9, neighbours=2).matrix().sum(1)
    assert np.allclose(code, [1.34, 1.44, 0.3])
    paper = reduce("prumerge", signals, 9, neighbours=2, variant="paper").matrix().sum(1)
    assert np.allclose(paper, 1)


def test_no_outlier_keeps_the_best_patch(t9):
    reduction = reduce("prumerge", {**t9, "cls_attn": np.full(9, 0.1)}, 9)
    assert list(reduction.order) == [0]
    assert reduction.m == 2


def test_budget_cuts_the_outliers_and_leaves_room_for_the_extra_token(t9):
    signals = {**t9, "cls_attn": ATTENTION}
    assert list(reduce("prumerge", signals, 2).order) == [0]
    assert reduce("prumerge", signals, 2).m == 2
    assert reduce("prumerge", signals, 1).m == 1


def test_fixed_budget_is_met_exactly(t9):
    for keep in range(2, 9):
        signals = {**t9, "cls_attn": ATTENTION}
        assert reduce("prumerge", signals, keep, count="budget").m == keep


def test_quartiles_are_interpolated(t9):
    scores = Signals({"cls_attn": ATTENTION}).at("cls_attn", -1)[0]
    assert outliers(scores) == 2


def test_attention_is_one_wide_head(random_signals):
    signals = random_signals(5)
    score, notes = single_head_cls(Signals(signals), -1)
    q, k = signals["q"][5], signals["k"][5]
    wide_q = np.concatenate([q[0, 0], q[1, 0]])
    wide_k = np.concatenate([k[0], k[1]], 1)
    logits = wide_k @ wide_q / np.sqrt(8)
    soft = np.exp(logits) / np.exp(logits).sum()
    assert np.allclose(score, soft[1:], atol=1e-6)
    assert notes == ()


def test_tower_without_cls_uses_received_attention_and_says_so(random_signals):
    signals = random_signals(9)
    for name in ("q", "k"):
        signals[name] = {i: a[:, 1:] for i, a in signals[name].items()}
    del signals["cls_attn"], signals["full_attn"]
    reduction = reduce("prumerge", signals, 5)
    assert "no [CLS]" in reduction.notes[0]


@pytest.mark.parametrize("n", [196, 729, 1369])
def test_share_of_outliers_is_not_rounded_down(n):
    values = np.full(n, 0.001)
    values[:7] = 0.5
    assert outliers(Signals({"cls_attn": values}).at("cls_attn", -1)[0]) == 7
