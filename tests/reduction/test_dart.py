import numpy as np
import pytest
import torch

from tokviz.errors import InputError
from tokviz.reduction import METHODS, reduce

KEYS = [[9.0, 0], [1, 1], [0, 8], [1, 0], [0, 1], [2, 0]]
"""Tokens 0 and 2 have the largest keys."""
STATES = [[1.0, 0], [1, 0.1], [0, 1], [-1, 0], [0, -1], [0.1, 1]]


def signals(**changes):
    given = {
        "llm_normed": STATES,
        "llm_text_normed": [[0.0, 1], [1, 1]],
        "llm_keys_before": [KEYS],
        "llm_text_keys_before": [[[1.0, 1], [5, 5]]],
        "llm_visual_rows": np.arange(2, 8),
    }
    return {**given, **changes}


def test_each_pivot_adds_what_is_least_like_it():
    """Pivots 0 and 2 and the second text row; 3 is opposite to 0, 4 to 2, and 4 is gone by then."""
    options = {"image_pivots": 2, "text_pivots": 1, "variant": "paper"}
    done = reduce("dart", signals(), 4, **options)
    assert done.roles["pivot"].tolist() == [0, 2]
    assert done.order.tolist() == [0, 2, 3, 4]
    assert reduce("dart", signals(), 5, **options).order.tolist() == [0, 2, 3, 4, 1]


def test_a_small_budget_is_pivots_alone():
    assert reduce("dart", signals(), 1).kept.tolist() == [0]
    assert reduce("dart", signals(), 2).kept.tolist() == [0, 2]


def test_the_codes_order_of_pivots_is_that_of_a_set_of_row_numbers():
    """37 is the larger key, but a set gives 35 first."""
    rows = [2, 33, 34, 35, 36, 37]
    given = signals(llm_visual_rows=rows, llm_keys_before=[np.flip(KEYS, 0).copy()])
    assert list({37, 35}) == [35, 37]
    paper, code = (
        reduce("dart", given, 3, image_pivots=2, text_pivots=0, variant=one)
        for one in ("paper", "code")
    )
    assert (paper.order.tolist(), code.order.tolist()) == ([5, 3, 4], [5, 3, 0])


def test_the_layer_that_is_asked_for_is_used_or_refused():
    assert METHODS["dart"].stages(576, 64, 32)[0].layer == 2
    with pytest.raises(InputError, match="6 layers"):
        METHODS["dart"].stages(576, 64, 6, layer=9)


def test_keys_of_all_heads_count():
    keys = torch.stack([torch.tensor(KEYS), 10 * torch.tensor(KEYS).flip(0)])
    done = reduce("dart", signals(llm_keys_before=keys), 1)
    assert done.kept.tolist() == [5]
