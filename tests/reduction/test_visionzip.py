import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.matrix import KEPT, MERGED
from tokviz.reduction import reduce

FEATURES = np.stack([np.arange(9.0), 10 * np.arange(9.0)], 1).astype(np.float32)


def test_worked_example_of_the_code(t9):
    reduction = reduce("visionzip", t9, 5, contextual=0.4)
    out = reduction.apply(FEATURES)
    assert np.allclose(out[:3], FEATURES[[0, 3, 7]])
    assert np.allclose(out[3:], [[5, 50], [10.3333, 103.3333]], atol=1e-3)
    assert list(reduction.position) == [0, 3, 7, 1, 5]


def test_worked_example_of_the_joint_mean(t9):
    out = reduce("visionzip", t9, 5, contextual=0.4, variant="paper").apply(FEATURES)
    assert np.allclose(out[3:], [[2.5, 25], [5.25, 52.5]])


def test_published_split_of_the_budget(random_signals):
    signals = random_signals(400)
    for keep, contextual in ((64, 10), (128, 20), (192, 30)):
        assert len(reduce("visionzip", signals, keep).roles["contextual"]) == contextual


def test_every_token_goes_somewhere(random_signals):
    reduction = reduce("visionzip", random_signals(50), 13)
    assert set(reduction.fate) == {KEPT, MERGED}
    assert np.allclose(reduction.matrix().sum(0)[reduction.roles["contextual"]], 1)


def test_code_sums_target_and_mean_while_paper_averages(random_signals):
    signals = random_signals(50)
    code = reduce("visionzip", signals, 13).matrix().sum(1)
    assert set(np.round(code, 5)) <= {1.0, 2.0}
    assert np.allclose(reduce("visionzip", signals, 13, variant="paper").matrix().sum(1), 1)


def test_cls_state_takes_one_dominant_place(t9):
    reduction = reduce("visionzip", t9, 6, contextual=2 / 6, cls_token=True)
    assert reduction.prefix_cls
    assert reduction.m == 5
    assert list(reduction.roles["dominant"]) == [0, 3, 7]
    with pytest.raises(InputError, match="2 or more"):
        reduce("visionzip", t9, 1, cls_token=True)
