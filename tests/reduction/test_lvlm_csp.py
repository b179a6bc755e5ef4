import numpy as np
import pytest

from tokviz.errors import MissingSignal
from tokviz.reduction import reduce
from tokviz.reduction.lvlm_csp import segment_quotas


def test_worked_example_of_every_so_many(t9):
    assert list(reduce("lvlm_csp", t9, 4, choose="uniform").kept) == [0, 2, 4, 6]


def test_worked_example_of_segments():
    assert segment_quotas(np.array([50, 30, 20]), 6) == [3, 1, 1]


def test_each_segment_keeps_its_best(t9):
    signals = {**t9, "segments": [0, 0, 0, 0, 1, 1, 1, 2, 2]}
    reduction = reduce("lvlm_csp", signals, 4, choose="segments")
    assert list(reduction.kept) == [3, 4, 7]


def test_more_segments_than_budget(t9):
    signals = {**t9, "segments": np.arange(9)}
    assert reduce("lvlm_csp", signals, 4, choose="segments").m == 4


def test_segments_must_be_given(t9):
    with pytest.raises(MissingSignal, match="segments"):
        reduce("lvlm_csp", t9, 4, choose="segments")


def test_cls_choice_is_fastervlms_and_random_follows_its_seed(t9):
    assert list(reduce("lvlm_csp", t9, 4).kept) == list(reduce("fastervlm", t9, 4).kept)
    picks = [tuple(reduce("lvlm_csp", t9, 4, choose="random", seed=s).kept) for s in (0, 0, 1, 2)]
    assert picks[0] == picks[1]
    assert len(set(picks)) > 1
