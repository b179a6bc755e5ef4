"""Runs and results as tables, as plots and in notebook cells."""

import matplotlib as mpl
import numpy as np
import pytest

from tests.view.fakes import fake_trace, merged, pruned, stage
from tokviz.analysis import Result
from tokviz.analysis.result import Part
from tokviz.errors import InputError, MissingSignal
from tokviz.matrix import Reduction
from tokviz.view import tables

mpl.use("Agg")


@pytest.fixture(scope="module")
def trace():
    return fake_trace(2, 3, stages=(stage(pruned(6, 2)),))


def test_a_run_is_a_table_with_a_row_per_visual_token(trace):
    table = trace.to_pandas()
    assert table.index.name == "token"
    assert len(table) == 6
    assert table["row"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["column"].tolist() == [0, 1, 2, 0, 1, 2]
    assert table["fate"].value_counts().to_dict() == {"pruned": 4, "kept": 2}
    assert (table["x1"] > table["x0"]).all()


def test_an_array_is_a_table_with_its_axes_by_name(trace):
    table = trace.to_pandas("attention")
    assert table.index.names == ["answer_token", "layer", "token"]
    assert table.loc[(1, 2, 4), "attention"] == trace["attention"][1, 2, 4]
    assert table.loc[(1, 2, 4), ["row", "column"]].tolist() == [1, 1]
    heads = trace.to_pandas("attention_heads")
    assert heads.index.names == ["answer_token", "layer", "head", "token"]
    assert trace.to_pandas("answer_prob").index.names == ["answer_token"]
    with pytest.raises(MissingSignal, match="no array 'atention'"):
        trace.to_pandas("atention")


def result(**more):
    return Result(
        np.arange(6.0).reshape(2, 3), "t n", {"whole": Part(np.float64(3), "", "all of it")},
        {"t": ("a <b>", "dog")}, ("a note <i>",), "my_map", "My map", "What <u> means.", **more,
    )  # fmt: skip


def test_a_result_is_a_table_with_its_labels_in_the_index():
    table = result().to_pandas()
    assert table.index.names == ["answer_token", "token"]
    assert table.loc[("dog", 2), "my_map"] == 5
    assert result().to_pandas("whole")["whole"].tolist() == [3]
    assert repr(result()) == "<Result 'my_map' [t 2, n 3], exact; parts: whole>"


def test_an_axis_that_comes_twice_is_numbered():
    assert tables.level_names(["b", "b", "l"]) == ["block_1", "block_2", "layer"]


def test_too_large_a_table_is_refused_before_it_takes_memory(trace, monkeypatch):
    monkeypatch.setattr(tables, "MAX_ROWS", 10)
    with pytest.raises(InputError, match="too many for a table"):
        trace.to_pandas("attention")


def test_a_missing_package_is_a_sentence_with_the_command(trace, monkeypatch):
    monkeypatch.setattr("tokviz.view.tables.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"tables need pandas: pip install .*\[tables\]"):
        trace.to_pandas()
    monkeypatch.setattr("tokviz.view.plots.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"plots need matplotlib: pip install .*\[plot\]"):
        trace.plot()


def test_a_map_is_drawn_over_the_picture_and_other_arrays_by_their_axes(trace):
    over = trace.plot("attention", word="dog", layer=3)
    assert over.get_title() == "attention, word dog, layer 3"
    assert len(over.images) == 1
    line = trace.plot("answer_prob")
    assert line.get_xlabel() == "answer_token"
    assert line.lines[0].get_ydata().tolist() == pytest.approx(trace["answer_prob"].tolist())
    for axes in (over, line):
        mpl.pyplot.close(axes.figure)


def test_what_cannot_be_drawn_is_said(trace):
    with pytest.raises(InputError, match="no word in the answer 'cat'.*Known: "):
        trace.plot("attention", word="cat")
    with pytest.raises(InputError, match="layer must be 0 to 3, got 9"):
        trace.plot("attention", layer=9)
    with pytest.raises(InputError, match="answer_prob has no axis for layer="):
        trace.plot("answer_prob", layer=0)


def test_results_and_reductions_show_themselves_with_escaped_texts():
    shown = result(not_meaning="Not <this>.")._repr_html_()
    assert "<b>My map (exact)</b>" in shown
    for text in ("What &lt;u&gt; means.", "a note &lt;i&gt;", "Not meant: Not &lt;this&gt;."):
        assert text in shown
    assert "2 answer_token × 3 token" in shown
    cell = merged(6, 2)._repr_html_()
    assert "3 of 6 visual tokens are left" in cell
    assert cell.count("<rect") == 6
    assert "0 of 0 visual" in Reduction.identity(0)._repr_html_()
