import numpy as np
import pytest
import torch

from tokviz.sink_dims import SinkSearch, candidate_dims, find_sink_dims

LAYERS = 8


def prompts(width, planted=(), row=0, everywhere=False, count=4):
    """Random residual streams in which some dimensions of one row (or of all rows) are huge."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        layers = rng.normal(size=(LAYERS, 12, width))
        for dim in planted:
            layers[:, slice(None) if everywhere else row, dim] = 10 * np.sqrt(width)
        made.append(layers)
    return made


@pytest.mark.parametrize("width", [64, 256, 896])
def test_finds_what_was_planted_and_nothing_else(width):
    assert find_sink_dims(prompts(width)) == ()
    assert find_sink_dims(prompts(width, (13,))) == (13,)
    assert find_sink_dims(prompts(width, (40, 13))) == (13, 40)


def test_finds_the_dimension_of_a_delimiter_that_is_not_the_first_row():
    assert find_sink_dims(prompts(64, (7,), row=5)) == (7,)


def test_a_dimension_that_is_large_everywhere_marks_no_sink():
    assert find_sink_dims(prompts(64, (7,), everywhere=True)) == ()


def test_half_of_the_prompts_are_enough_fewer_are_not():
    plain, planted = prompts(64, count=3), prompts(64, (7,), count=1)
    assert find_sink_dims(plain[:1] + planted) == (7,)
    assert find_sink_dims(plain + planted) == ()


def test_only_the_middle_layers_count():
    layers = np.random.default_rng(0).normal(size=(LAYERS, 12, 64))
    layers[:2, 0, 7] = layers[-1:, 0, 7] = 1000
    assert find_sink_dims([layers]) == ()


def test_an_attended_row_can_be_pointed_at():
    states = np.random.default_rng(0).normal(size=(12, 64))
    states[4, 9], states[7, 3] = 60, 80
    found = candidate_dims(states)
    assert max(found, key=found.get) == 3
    assert 9 not in found
    assert set(candidate_dims(states, attended=4)) == {9}


def test_layers_can_be_shown_one_at_a_time_as_torch_tensors():
    search = SinkSearch(LAYERS)
    for layers in prompts(64, (13,)):
        search.begin_prompt()
        for number, states in enumerate(layers):
            search.add(number, torch.tensor(states, dtype=torch.bfloat16))
    assert search.dims() == (13,)
    assert SinkSearch(LAYERS).dims() == ()
