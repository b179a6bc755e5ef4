import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.reduction import METHODS
from tokviz.reduction.p_sigmoid import middle_for_mean, ratios


@pytest.mark.parametrize(
    ("slope", "mean", "middle", "shares"),
    [
        (-1, 0.5, 1.5, [0.817574, 0.622459, 0.377541, 0.182426]),
        (-2, 0.5, 1.5, [0.952574, 0.731059, 0.268941, 0.047426]),
        (-1, 0.25, 0.106000, [0.526475, 0.290285, 0.130789, 0.052451]),
    ],
)
def test_the_mean_over_layers_fixes_the_curve(slope, mean, middle, shares):
    found = middle_for_mean(slope, mean, 4)
    assert found == pytest.approx(middle, abs=1e-6)
    np.testing.assert_allclose(ratios(slope, found, 4), shares, atol=1e-6)


def test_a_rising_curve_is_refused():
    with pytest.raises(InputError, match="slope be negative"):
        middle_for_mean(1, 0.5, 4)


def test_the_last_layer_fixes_the_schedule():
    stages = METHODS["p_sigmoid"].stages(1000, 100, 32, slope=-0.5)
    counts = {s.layer: s.keep for s in stages}
    assert counts[31] == 100
    expected = ratios(-0.5, 31 - np.log(9) / 0.5, 32)
    assert counts[20] == int(1000 * expected[20])


def test_slope_is_scaled_with_the_depth():
    deep = {s.layer: s.keep for s in METHODS["p_sigmoid"].stages(1000, 100, 64, slope=-0.5)}
    shallow = {s.layer: s.keep for s in METHODS["p_sigmoid"].stages(1000, 100, 32, slope=-0.5)}
    assert deep[63 - 20] == shallow[31 - 10]
