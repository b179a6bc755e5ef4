import pytest

from tokviz.cost import tokens_per_layer
from tokviz.reduction import METHODS
from tokviz.reduction.p_mod import ratio


@pytest.mark.parametrize(
    ("layer", "share"),
    [(0, 1), (5, 0.9372), (7, 0.8794), (8, 0.8445), (15, 0.5253), (16, 0.4747), (24, 0.1206),
     (31, 0)],
)  # fmt: skip
def test_half_a_cosine(layer, share):
    assert ratio(layer, 32) == pytest.approx(share, abs=5e-5)


def test_first_layers_are_dense_and_the_last_at_the_floor():
    stages = METHODS["p_mod"].stages(10_000, 1_500, 32)
    counts = tokens_per_layer(10_000, stages, 32)
    assert counts[:8] == [10_000] * 8
    assert counts[24:] == [1_500] * 8
    assert sum(counts) / 320_000 == pytest.approx(0.5375, abs=1e-4)


def test_skipped_tokens_come_back():
    method = METHODS["p_mod"]
    assert (method.removes, method.effect, method.verified) == (False, "bypass", False)
