import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.reduction import METHODS, reduce
from tokviz.reduction.signals import Signals


@pytest.fixture
def asked(t9, at_angles):
    return {**t9, "text_llm": at_angles([90, 175])}


def test_worked_example(asked):
    reduction = reduce("mmtok", asked, 4)
    assert list(reduction.order) == [7, 5, 1, 6]
    assert np.allclose(reduction.score[[7, 5, 1, 6]], [0.5426, 0.3192, 0.0513, 0.0231], atol=1e-4)


def test_without_the_image_part_the_question_alone_decides(asked):
    assert list(reduce("mmtok", asked, 4, alpha=0).order) == [7, 5, 0, 1]


def test_padding_is_left_out(asked):
    asked["unpad_mask"] = np.arange(9) != 5
    assert list(reduce("mmtok", asked, 4).order) == [7, 2, 1, 6]


def test_padding_comes_last_when_the_budget_needs_it(asked):
    asked["unpad_mask"] = np.arange(9) < 3
    order = list(reduce("mmtok", asked, 5).order)
    assert set(order[:3]) == {0, 1, 2}
    assert len(set(order)) == 5


def test_image_term_alone_in_the_limit(asked):
    reduction = METHODS["mmtok"].decide(Signals(asked), 4, alpha=1e6)
    assert list(reduction.order) == [6, 1, 5, 7]


def test_text_of_another_width_is_refused(t9):
    with pytest.raises(InputError, match="width 3"):
        reduce("mmtok", {**t9, "text_llm": np.ones((2, 3))}, 4)
