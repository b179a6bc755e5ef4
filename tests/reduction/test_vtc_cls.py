import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.reduction import reduce

MEAN = [0.2, 0.045, 0.035, 0.21, 0.065, 0.025, 0.06, 0.14, 0.07]
LAYERS = {
    0: [0.05, 0.2, 0.05, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05],
    1: [0.1, 0.15, 0.05, 0.1, 0.05, 0.05, 0.2, 0.05, 0.05],
    2: MEAN,
    3: [0.01, 0.01, 0.6, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01],
}


def test_worked_example():
    reduction = reduce("vtc_cls", {"cls_attn": LAYERS}, 4, start=1)
    expected = [0.3, 0.195, 0.085, 0.31, 0.115, 0.075, 0.26, 0.19, 0.12]
    assert np.allclose(reduction.score, expected)
    assert list(reduction.kept) == [0, 1, 3, 6]


def test_from_the_last_used_layer_it_is_fastervlm():
    kept = list(reduce("vtc_cls", {"cls_attn": LAYERS}, 4, start=2).kept)
    assert kept == [0, 3, 7, 8] == list(reduce("fastervlm", {"cls_attn": LAYERS}, 4).kept)


def test_the_last_layer_counts_for_nothing():
    changed = {**LAYERS, 3: [0.0] * 8 + [1.0]}
    for signals in (LAYERS, changed):
        assert list(reduce("vtc_cls", {"cls_attn": signals}, 4, start=1).kept) == [0, 1, 3, 6]


def test_start_outside_the_tower_is_refused():
    with pytest.raises(InputError, match="layer 0 to 2"):
        reduce("vtc_cls", {"cls_attn": LAYERS}, 4, start=3)
