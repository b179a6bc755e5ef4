"""Imported decisions are carried out before their own layers."""

import numpy as np
import pytest

import tokviz
from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.plans import staged

PROMPT = "what is this?"


def test_a_methods_own_decisions_give_its_answer_when_imported(vlm, cat):
    """FastV's decision at layer 2, as a file would hold it: the same run."""
    own = vlm.answer(cat, PROMPT, tokviz.plan("fastv", keep=9), 4)
    ready = staged([(stage.layer, stage.reduction) for stage in own.stages], "from a file")
    again = vlm.answer(cat, PROMPT, ready, 4)
    assert [(stage.layer, stage.place) for stage in again.stages] == [(2, "language_model")]
    assert np.array_equal(again["answer_ids"], own["answer_ids"])
    np.testing.assert_allclose(again["answer_prob"], own["answer_prob"], atol=1e-5)
    before = vlm.answer(cat, PROMPT, tokviz.plans.chosen(own.stages[0].reduction), 4)
    assert not np.allclose(before["answer_prob"], own["answer_prob"], atol=1e-5)


def test_a_layer_beyond_the_last_is_left_out_and_said(vlm, cat):
    n = vlm.answer(cat, PROMPT, None, 1).n
    first, second = Reduction.select(np.arange(0, n, 2), n), Reduction.select([0, 1], (n + 1) // 2)
    trace = vlm.answer(cat, PROMPT, staged([(1, first), (99, second)], "deep"), 2)
    assert trace.reduction.m == first.m
    assert any("before layer 99" in note and "not carried out" in note for note in trace.notes)


def test_decisions_of_another_number_of_tokens_are_refused(vlm, cat):
    with pytest.raises(InputError, match="are for 5 visual tokens"):
        vlm.answer(cat, PROMPT, staged([(1, Reduction.select([0], 5))], "other"), 1)
