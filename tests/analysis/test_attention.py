import numpy as np
import pytest

import tokviz
from tokviz.errors import InputError, MissingSignal


def test_the_mean_over_layers_and_heads_is_the_default(toy):
    result = tokviz.analyse("attention", toy)
    three_equal_layers = [0, 0.125, 0, 0, 0.125, 0.25]
    first_layer = [0.03125, 0.15625, 0.03125, 0.03125, 0.15625, 0.03125]
    assert result.axes == "t n"
    np.testing.assert_allclose(
        result.values[0], (3 * np.array(three_equal_layers) + first_layer) / 4
    )


def test_one_head_of_one_layer_is_the_stored_row(toy):
    result = tokviz.analyse("attention", toy, layer=2, head=0)
    np.testing.assert_array_equal(result.values[0], [0, 0.25, 0, 0, 0.25, 0])
    np.testing.assert_array_equal(
        tokviz.analyse("attention", toy, layer=-1, head=-1).values[1], [0, 0, 0, 0, 0, 0.5]
    )


def test_rows_add_up_to_the_share_of_the_image(toy):
    result = tokviz.analyse("attention", toy)
    share = toy["mass"][..., 1].astype(np.float32).mean(2)
    np.testing.assert_allclose(result["share"].values, share, atol=1e-3)
    assert (result.values.sum(1) <= 1).all()


@pytest.mark.parametrize("options", [{"layer": 4}, {"layer": -5}, {"head": 2}])
def test_a_layer_or_head_that_does_not_exist_is_refused(toy, options):
    with pytest.raises(InputError, match="must be 0 to"):
        tokviz.analyse("attention", toy, **options)


def test_without_stored_heads_a_head_is_refused_in_words(make_trace):
    with pytest.raises(MissingSignal, match="head means only"):
        tokviz.analyse("attention", make_trace(attention_heads=None), head=0)
