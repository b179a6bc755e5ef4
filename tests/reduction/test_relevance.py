import numpy as np
import pytest
import torch

from tokviz.errors import InputError, MissingSignal
from tokviz.reduction import reduce
from tokviz.reduction.relevance import rolled_out

ATTENTION = [
    [[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]],
    [[0, 0, 0], [0, 0, 0], [0, 0.3, 0.25]],
]
GRADIENT = [
    [[0, 0, 0], [0.4, -0.2, 0], [0.5, 1, -0.3]],
    [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
]
SIGNALS = {
    "llm_attn": np.array(ATTENTION)[:, None],
    "llm_attn_grad": np.array(GRADIENT)[:, None],
    "llm_visual_rows": [0, 1],
}


def test_worked_example():
    rolled = rolled_out(torch.tensor(ATTENTION)[:, None], torch.tensor(GRADIENT)[:, None])
    assert np.allclose(rolled[-1], [0.185, 0.675, 1.25])
    reduction = reduce("relevance", SIGNALS, 1)
    assert np.allclose(reduction.score, [0.185, 0.675])
    assert list(reduction.kept) == [1]


def test_ready_map_is_used_as_it_is():
    assert list(reduce("relevance", {"relevance": [0.1, 3, -2, 2]}, 2).kept) == [1, 3]


@pytest.mark.parametrize("lacking", ["llm_attn_grad", "llm_visual_rows"])
def test_rollout_needs_gradients_and_rows(lacking):
    signals = {**SIGNALS, "index": [0, 1], lacking: None}
    with pytest.raises(MissingSignal, match=lacking):
        reduce("relevance", signals, 1)


def test_rows_outside_the_prompt_are_refused():
    with pytest.raises(InputError, match="do not fit"):
        reduce("relevance", {**SIGNALS, "llm_visual_rows": [0, 7]}, 1)
