import numpy as np
import pytest

import tokviz
from tokviz.analysis.sinks import head_parts
from tokviz.errors import MissingSignal
from tokviz.sink_dims import sink_phi, sink_threshold


def test_worked_phi():
    rows = np.array([[0, 0, 8, 0, 0, 0, 0, 0.1], [1] * 8, [0, 0, 3, 0, 0, 4, 0, 0]])
    phi = sink_phi(rows, [2])
    np.testing.assert_allclose(phi, [2.828206, 1, 1.697056], atol=1e-5)
    np.testing.assert_array_equal(phi > 2, [True, False, False])


@pytest.mark.parametrize(("width", "value", "phi"), [(1600, 60, 33.29), (1600, 30, 24.0)])
def test_worked_phi_of_one_large_value_among_ones(width, value, phi):
    row = np.ones((1, width))
    row[0, 0] = value
    assert sink_phi(row, [0])[0] == pytest.approx(phi, abs=0.005)


def test_a_narrow_model_never_reaches_twenty():
    assert sink_phi(np.array([[30.0, 1, 1, 1]]), [0])[0] == pytest.approx(1.9967, abs=1e-4)


def test_the_threshold_is_twenty_at_width_4096():
    widths = [4096, 5120, 3584, 2048]
    np.testing.assert_allclose(
        [sink_threshold(w) for w in widths], [20, 22.36, 18.71, 14.14], atol=0.01
    )


def test_sinks_are_marked_from_the_third_layer_on(toy):
    """Width 64: the threshold is 2.5; visual token 5 has 6 from layer 1 on."""
    result = tokviz.analyse("sinks", toy)
    assert result.axes == "l n"
    np.testing.assert_array_equal(np.argwhere(result.values), [[2, 5], [3, 5]])
    np.testing.assert_array_equal(result["count"].values, [0, 0, 1, 1])
    assert result["text"].values[2:, 0].all()
    assert result["tau"].values == 2.5


def test_share_of_the_image_attention_on_sinks(toy):
    """Head means of the first token: .125, .125 and .25 on the sink; the last: .0625 twice."""
    result = tokviz.analyse("sinks", toy)
    np.testing.assert_allclose(result["share_by_token"].values[:, 2], [0.5, 2 / 3])
    np.testing.assert_allclose(result["share"].values, [0, 0, 7 / 12, 7 / 12])


def test_image_centric_heads_look_past_the_sink(toy):
    result = tokviz.analyse("sinks", toy)
    np.testing.assert_allclose(result["non_sink_ratio"].values[0, 2], [1, 0])
    np.testing.assert_array_equal(result["image_centric"].values[2], [1, 0])


def test_worked_heads():
    """Visual tokens 2..5 of a row, the first of them a sink."""
    heads = np.array([[0.10, 0.20, 0.10, 0.05], [0.20, 0.04, 0.03, 0.02], [0.02, 0.03, 0.02, 0.03]])
    parts = head_parts(heads[None, None], np.array([[True, False, False, False]]), 0.5, 0.2)
    np.testing.assert_allclose(
        1 - parts["non_sink_ratio"].values[0, 0], [0.2222, 0.6896, 0.2], atol=1e-4
    )
    np.testing.assert_array_equal(parts["image_centric"].values[0], [1, 0, 0])


def test_a_threshold_of_ones_own_is_used(toy):
    assert not tokviz.analyse("sinks", toy, tau=7).values.any()


def test_a_model_without_sink_dimensions_says_so(make_trace):
    with pytest.raises(MissingSignal, match="a model that has sink dimensions"):
        tokviz.analyse("sinks", make_trace(sink_phi=None))


def test_phi_is_compared_with_attention(toy):
    agreement = tokviz.analyse("sinks", toy)["agreement"].values
    assert agreement[2] > 0.6
    assert np.isnan(agreement[0])
