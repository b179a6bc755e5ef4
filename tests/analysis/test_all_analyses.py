"""One matrix over all analyses: what each declares must be true of it."""

import re
from typing import get_args

import numpy as np
import pytest

import tokviz
from benchmarks import agreement
from tokviz.analysis import ANALYSES, ASKS
from tokviz.analysis.declare import SWITCHES
from tokviz.analysis.result import Exactness
from tokviz.errors import InputError, MissingSignal
from tokviz.trace.schema import SCHEMA
from tokviz.view.result_chart import result_chart
from tokviz.view.result_view import chosen_array, map_payload, result_view

pytestmark = pytest.mark.parametrize("name", list(ANALYSES))


def given(name, runs):
    return {key: runs[key] for key in ANALYSES[name].asks}


def arrays_of(result):
    return {"": result.values, **{name: part.values for name, part in result.parts.items()}}


def test_axes_fit_the_run(name, toy, runs):
    result = tokviz.analyse(name, toy, runs=given(name, runs))
    lengths = {"n": toy.n, "t": toy.t, "l": 4, "h": 2, "s": 11, "u": 3, "k": 5, "p": 3}
    for part in (result, *result.parts.values()):
        for letter, length in zip(part.axes.split(), np.shape(part.values), strict=True):
            assert lengths.setdefault(letter, length) == length
    for letter, names in result.labels.items():
        assert all(isinstance(text, str) for text in names)
        assert len(names) == lengths.get(letter, len(names))


def test_every_array_is_a_map_a_chart_or_a_number(name, toy, runs):
    if "folder" in ANALYSES[name].asks:
        return
    result = tokviz.analyse(name, toy, runs=given(name, runs))
    view = result_view(result, toy)
    assert view["meaning"]
    assert view["not_meaning"]
    for entry in view["arrays"]:
        one = chosen_array(result, toy, entry["name"])
        for page in range(max(len(entry["pages"]), 1)):
            chart = result_chart(result, toy, entry["name"], page)
            assert (chart is None) == (entry["kind"] == "map")
        if entry["kind"] == "map":
            sent = map_payload(one, result, toy)
            assert sent["values"]["shape"][1] == toy.n
            assert len(sent["rows"]) in (0, sent["values"]["shape"][0])
    assert len(view["arrays"]) + len(view["numbers"]) >= 1 + len(result.parts)


def test_a_saved_trace_gives_equal_numbers(name, toy, runs, tmp_path):
    toy.save(tmp_path / "run.safetensors")
    again = tokviz.open_trace(tmp_path / "run.safetensors")
    first = arrays_of(tokviz.analyse(name, toy, runs=given(name, runs)))
    second = arrays_of(tokviz.analyse(name, again, runs=given(name, runs)))
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])


def test_nothing_in_the_trace_is_changed(name, toy, runs):
    before = {key: array.copy() for key, array in toy.arrays.items()}
    for array in toy.arrays.values():
        array.flags.writeable = False
    tokviz.analyse(name, toy, runs=given(name, runs))
    for key, array in before.items():
        np.testing.assert_array_equal(toy[key], array)


def test_a_trace_without_what_it_needs_is_refused_by_name_and_told_which_run(
    name, make_trace, runs
):
    entry = ANALYSES[name]
    for need in entry.needs:
        gone = {need: None, entry.fallbacks.get(need, need): None}
        with pytest.raises(MissingSignal, match=f"{need}.*(?s:.*)It takes a run with"):
            tokviz.analyse(name, make_trace(**gone), runs=given(name, runs))


def test_further_runs_that_were_not_given_are_asked_for_by_name(name, toy, runs):
    for ask in ANALYSES[name].asks:
        supplied = given(name, runs)
        del supplied[ask]
        with pytest.raises(MissingSignal, match=ask):
            tokviz.analyse(name, toy, runs=supplied)


def test_only_the_declared_arrays_are_needed(name, make_trace, toy, runs):
    """With every other optional array gone it must still answer."""
    entry = ANALYSES[name]
    layout = {key for key in SCHEMA if key.startswith("token_")}
    other = {key for key in toy.arrays if key not in entry.needs and key not in layout}
    if name == "image_dependence":
        other -= {"control_prob"}
    trace = make_trace(**dict.fromkeys(other))
    tokviz.analyse(name, trace, runs=given(name, runs))


def test_it_says_what_it_means_and_what_not(name, toy, runs):
    entry = ANALYSES[name]
    result = tokviz.analyse(name, toy, runs=given(name, runs))
    for text in (entry.summary, result.meaning, result.not_meaning, result.cost):
        assert text.endswith(".")
        assert len(text) > 10
    assert re.search("run|forward|prefill|pass", result.cost), "how many passes of the model?"
    assert "emory" in result.cost
    assert result.title == entry.title
    assert result.exactness in get_args(Exactness)
    assert all(part.meaning for part in result.parts.values())


def test_what_it_declares_exists(name):
    entry = ANALYSES[name]
    assert set(entry.needs) <= set(SCHEMA)
    assert set(entry.fallbacks.values()) <= set(SCHEMA)
    assert {*entry.asks, *entry.may_ask} <= set(ASKS)
    undocumented = [need for need in entry.needs if need not in SWITCHES]
    assert set(undocumented) <= {"prompt_ids", "answer_ids", "answer_prob"}


def test_an_answer_without_tokens_is_no_crash(name, make_trace, runs):
    entry, arrays = ANALYSES[name], {}
    full = make_trace()
    for key, array in full.arrays.items():
        axes = SCHEMA[key].axes.split()
        if "t" in axes:
            arrays[key] = array[:, :0] if axes[0] == "x" else array[:0]
    arrays["readout"] = full["readout"][:11]
    trace = make_trace(**arrays, answer_tokens=())
    supplied = given(name, runs)
    if "maps" in supplied:
        supplied["maps"] = lambda layer: runs["maps"](layer)[:, :11, :11]
    if name == "exit_layer":
        with pytest.raises(InputError, match="no answer"):
            tokviz.analyse(name, trace, runs=supplied)
        return
    assert entry.compute(trace, **supplied) is not None


def test_a_map_of_tokens_is_held_against_removal(name, toy, runs):
    """Every importance score has its row in the table of agreement, or a reason for having none."""
    result = tokviz.analyse(name, toy, runs=given(name, runs))
    shown = {analysis for analysis, _, _ in agreement.scores_of(12, sinks=True).values()}
    excused = {*agreement.REFERENCES, *agreement.NOT_HERE, *agreement.SINK_MAPS}
    assert ("n" in result.axes.split()) == (name in shown | excused)


def test_an_unknown_option_is_refused(name, toy, runs):
    with pytest.raises(InputError, match="has no option"):
        tokviz.analyse(name, toy, runs=given(name, runs), no_such_option=1)
