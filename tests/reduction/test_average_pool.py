import numpy as np
import pytest

import tokviz
from tokviz.errors import InputError
from tokviz.reduction import METHODS, reduce


def test_worked_example():
    reduction = reduce("average_pool", {"index": np.arange(9)}, 4)
    values = reduction.apply(np.arange(9, dtype=np.float32)[:, None])[:, 0]
    assert np.allclose(values, [0.5, 2.5, 4.5, 6.5])
    assert reduction.group[8] == -1
    assert reduction.group[2] == reduction.group[3]


def test_positions_are_the_means_of_the_members_as_in_llavolta():
    method = METHODS["average_pool"]
    assert method.published_positions({}) == "mean"
    with pytest.raises(InputError, match="positions must be keep or repack, got mean"):
        tokviz.plan("fastv", keep=4, positions="mean")


def test_stride_can_be_larger_but_never_miss_the_budget():
    signals = {"index": np.arange(12)}
    assert reduce("average_pool", signals, 6, stride=4).m == 3
    with pytest.raises(InputError, match="stride must be 4 to 12 here"):
        reduce("average_pool", signals, 3, stride=2)
