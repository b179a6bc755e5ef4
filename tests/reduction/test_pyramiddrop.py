import pytest

from tokviz.cost import tokens_per_layer
from tokviz.reduction import METHODS, reduce


@pytest.mark.parametrize(
    ("n", "keep", "layers", "stages"),
    [
        (576, 72, 32, [(8, 288), (16, 144), (24, 72)]),
        (8, 1, 4, [(1, 4), (2, 2), (3, 1)]),
        (144, 18, 6, [(2, 72), (3, 36), (5, 18)]),
    ],
)
def test_half_is_kept_before_each_quarter(n, keep, layers, stages):
    found = METHODS["pyramiddrop"].stages(n, keep, layers)
    assert [(s.layer, s.keep) for s in found] == stages


def test_rows_per_layer_of_the_toy():
    # 2 system and 3 text rows around 8 visual tokens, 4 layers
    stages = METHODS["pyramiddrop"].stages(8, 1, 4)
    assert [5 + count for count in tokens_per_layer(8, stages, 4)] == [13, 9, 7, 6]


def test_the_coming_layer_scores():
    r = reduce("pyramiddrop", {"llm_peek_last": [[0.1, 0.3, 0.2], [0.1, 0.1, 0.4]]}, keep=1)
    assert r.kept.tolist() == [2]
    assert METHODS["pyramiddrop"].positions == "repack"
