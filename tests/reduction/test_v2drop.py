import pytest

from tokviz.reduction import METHODS, reduce


def test_tokens_that_changed_most_stay():
    before = [[0.0, 0], [1, 1], [2, 2], [3, 3]]
    after = [[0.0, 0.5], [1, 1], [2, 5], [4, 3]]
    done = reduce("v2drop", {"llm_hidden": after, "llm_hidden_before": before}, 2)
    assert done.score.tolist() == [0.5, 0, 3, 1]
    assert done.kept.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("keep", "layers", "stages"),
    [
        (1, 32, [(3, 288), (17, 144), (22, 1)]),
        (64, 32, [(3, 288), (17, 144), (22, 64)]),
        (200, 32, [(3, 288), (17, 200)]),
        (400, 32, [(3, 400)]),
        (1, 6, [(1, 288), (3, 144), (4, 1)]),
    ],
)
def test_half_a_quarter_and_the_budget(keep, layers, stages):
    found = METHODS["v2drop"].stages(576, keep, layers)
    assert [(stage.layer, stage.keep) for stage in found] == stages
