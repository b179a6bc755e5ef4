import pytest

from tokviz.errors import InputError
from tokviz.reduction import METHODS, reduce


def test_every_visual_token_leaves_or_none():
    assert reduce("vtw", {"llm_visual_rows": range(5)}, 2).m == 0
    assert reduce("vtw", {"llm_visual_rows": range(5)}, 5).m == 5


@pytest.mark.parametrize(("layers", "layer", "at"), [(32, None, 15), (6, None, 3), (32, 20, 20)])
def test_at_the_published_layer_or_the_one_asked_for(layers, layer, at):
    assert [s.layer for s in METHODS["vtw"].stages(576, 64, layers, layer=layer)] == [at]


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="6 layers"):
        METHODS["vtw"].stages(576, 64, 6, layer=6)
