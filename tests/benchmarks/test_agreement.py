"""The table of agreement: which rows it has, and what its numbers are made of."""

import numpy as np
import pytest

import tokviz
from benchmarks import agreement
from tokviz.capture import Capture

pytestmark = pytest.mark.slow


def test_rows_that_are_equal_everywhere_are_one():
    pairs = [[0.5, 0.25], [0.25, 0.5]]
    lines = agreement.table({"a": pairs, "b": [[1.0, 1.0]] * 2, "c": pairs}).splitlines()
    assert lines[2:] == [
        "| b | +1.00 ± 0.00 | +1.00 ± 0.00 |",
        "| a, c | +0.38 ± 0.24 | +0.38 ± 0.24 |",
    ]


def test_blocks_add_up_their_tokens_and_leave_out_the_rest():
    block = np.array([0, 0, 1, -1])
    np.testing.assert_array_equal(agreement.by_block(np.array([1.0, 2, 3, 9]), block), [3, 3])


def test_methods_give_their_own_scores(shipped_model):
    """FasterVLM chooses by [CLS] attention, which is an analysis too."""
    view, question = next(agreement.place_questions(shipped_model, 1))
    asked, names = (view.image, question.text), ("fastervlm", "fastv", "norm", "centre", "uniform")
    scores = dict(agreement.method_scores(shipped_model, *asked, names))
    trace = shipped_model.answer(*asked, None, 1)
    cls = tokviz.analyse("cls_attention", trace).values
    np.testing.assert_allclose(scores["`fastervlm`"], cls, atol=1e-3)
    assert set(scores) == {"`fastervlm`", "`fastv`", "`norm`", "`centre`"}


def test_scores_name_the_layers_of_the_model():
    small, deep = (set(agreement.scores_of(layers, False)) for layers in (6, 12))
    assert {"attention, layer 5 (the last)", "attention, layer 3"} <= small
    assert {"attention, layer 11 (the last)", "attention, layer 6"} <= deep
    assert "attention without sinks" in agreement.scores_of(12, True)


@pytest.mark.weekly
def test_every_analysis_of_the_table_has_a_number_for_each_token(shipped_model):
    """The last layer, and the sinks of this model among them."""
    view, question = next(agreement.place_questions(shipped_model, 1))
    asked = view.image, question.text
    trace = shipped_model.answer(*asked, None, 2, Capture.holding(("lens_ids",)))
    further = shipped_model.further_runs(*asked, trace).supply(agreement.runs_asked())
    scores = dict(agreement.analysis_scores(trace, further))
    assert "attention without sinks" in scores
    assert {values.shape for values in scores.values()} == {(trace.n,)}
