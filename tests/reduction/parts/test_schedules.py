import pytest

from tokviz.errors import InputError
from tokviz.reduction.method import Stage
from tokviz.reduction.parts.schedules import (
    clamped,
    geometric,
    halved,
    in_depth,
    linear,
    over_all_layers,
    stages,
)


@pytest.mark.parametrize(
    ("published", "of", "layers", "layer"),
    [(8, 32, 32, 8), (1, 4, 6, 2), (3, 4, 6, 5), (3, 32, 6, 1), (31, 32, 2, 1)],
)
def test_layers_are_scaled_and_stay_inside(published, of, layers, layer):
    assert in_depth(published, of, layers) == layer


def test_one_layer_has_no_inside():
    with pytest.raises(InputError, match="at least 2 layers, got 1"):
        clamped(1, 1)


def test_equal_steps_on_a_log_scale():
    assert geometric(576, 72, (1 / 3, 2 / 3, 1)) == [288, 144, 72]
    assert geometric(1000, 729, (1 / 3, 2 / 3, 1)) == [900, 810, 729]  # 810 is 809.999... in floats


def test_equal_steps_on_a_straight_line():
    assert linear(576, 72, (1 / 7, 3 / 7, 1)) == [504, 360, 72]


def test_stages_on_one_layer_become_one():
    assert stages([(1, 288), (1, 144), (2, 72)], 576) == [Stage(1, 144), Stage(2, 72)]


def test_stages_that_change_nothing_are_left_out():
    assert stages([(0, 9), (1, 5), (2, 5)], 9) == [Stage(1, 5)]
    assert stages([(0, 9), (1, 9)], 9) == [Stage(1, 9)]


@pytest.mark.parametrize("shape", ["constant", "decreasing", "increasing"])
@pytest.mark.parametrize("keep", [3, 4, 9, 30, 72, 143, 144])
def test_no_layer_more_than_halves(shape, keep):
    counts = [144] + [s.keep for s in over_all_layers(144, keep, 6, shape)]
    assert counts[-1] == keep
    assert all(later >= -(-now // 2) for now, later in zip(counts, counts[1:], strict=False))


def test_halving_is_lifted_where_a_layer_would_remove_too_much():
    assert [s.keep for s in halved([10, 10, 10], 64)] == [32, 16, 10]
