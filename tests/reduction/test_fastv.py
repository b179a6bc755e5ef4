import pytest
import torch

import tokviz.reduction as reduction
from tokviz.errors import InputError

# last prompt row of the layer before, two heads, prompt of 8 rows with visual tokens at 2 to 5
HEADS = torch.tensor(
    [
        [0.30, 0.10, 0.05, 0.15, 0.02, 0.08, 0.10, 0.20],
        [0.39, 0.04, 0.14, 0.01, 0.06, 0.12, 0.08, 0.16],
    ]
)[:, 2:6]


def test_toy_keeps_the_best_of_the_head_mean():
    r = reduction.reduce("fastv", {"llm_attn_last": HEADS}, keep=2)
    assert r.score == pytest.approx([0.095, 0.08, 0.04, 0.10])
    assert (2 + r.kept).tolist() == [2, 5]


def test_one_head_alone_would_choose_differently():
    r = reduction.reduce("fastv", {"llm_attn_last": HEADS[0]}, keep=2)
    assert (2 + r.kept).tolist() == [3, 5]


@pytest.mark.parametrize(("layers", "layer"), [(32, 2), (6, 2), (3, 2)])
def test_layer_two_is_absolute(layers, layer):
    stages = reduction.METHODS["fastv"].stages(576, 144, layers)
    assert [(s.layer, s.keep) for s in stages] == [(layer, 144)]


def test_a_model_without_the_layer_refuses_it():
    with pytest.raises(InputError, match="layer must be 1 to 1 here, .* has 2 layers; got 2"):
        reduction.METHODS["fastv"].stages(576, 144, 2)


def test_a_single_layer_has_no_inside():
    with pytest.raises(InputError, match="at least 2 layers"):
        reduction.METHODS["fastv"].stages(576, 144, 1)


def test_survivors_keep_their_positions():
    assert reduction.METHODS["fastv"].positions == "keep"
