"""How an analysis is declared, found and run; what a result refuses to be."""

from typing import Annotated

import numpy as np
import pytest

import tokviz
from tokviz.analysis import ANALYSES, Part, Result, analysis
from tokviz.analysis.declare import SWITCHES
from tokviz.errors import InputError, MissingSignal
from tokviz.options import Range
from tokviz.trace.schema import SCHEMA


@pytest.fixture
def brightest():
    """An analysis as a third party would write it."""

    @analysis(
        "brightest",
        title="Brightest token",
        needs=("attention",),
        meaning="The token that got most attention.",
        not_meaning="Not that it matters.",
        exactness="exact",
        cost="Nothing.",
    )
    def entry(trace, *, factor: Annotated[float, Range(0, 2)] = 1.0):
        """Show the brightest token.

        Ties: lower index.
        """
        return Result(trace["attention"].mean((0, 1)) * factor, "n")

    yield entry
    ANALYSES.remove("brightest")


def test_one_decorator_registers_summary_notes_and_options(brightest, toy):
    assert ANALYSES["brightest"] is brightest
    assert brightest.summary == "Show the brightest token."
    assert brightest.notes == "Ties: lower index."
    assert brightest.options["factor"].range == Range(0, 2)
    result = tokviz.analyse("brightest", toy, factor=0)
    np.testing.assert_array_equal(result.values, 0)
    assert (result.name, result.meaning) == ("brightest", "The token that got most attention.")


def test_a_name_used_twice_raises(brightest):
    with pytest.raises(ValueError, match="already taken"):
        ANALYSES.add("brightest", brightest)


def test_unknown_names_options_and_asks_are_refused(brightest, toy):
    with pytest.raises(InputError, match="no analysis 'brighter'"):
        tokviz.analyse("brighter", toy)
    with pytest.raises(InputError, match="factor must be 0 to 2"):
        tokviz.analyse("brightest", toy, factor=3)
    with pytest.raises(InputError, match="does not ask for 'score'"):
        tokviz.analyse("brightest", toy, runs={"score": len})


def test_without_a_trace_there_is_no_run_to_look_at():
    for name in ("rollout", "attention"):
        with pytest.raises(InputError, match="give its trace"):
            tokviz.analyse(name, None, runs={"maps": len} if name == "rollout" else {})


def test_why_not_is_empty_when_nothing_is_missing(brightest, toy, make_trace):
    assert brightest.why_not(toy) == ""
    assert "Capture(attention=True)" in brightest.why_not(make_trace(attention=None))


def test_every_recorded_array_says_which_run_gives_it():
    always = {name for name in SCHEMA if name.startswith("token_")}
    always |= {"prompt_ids", "answer_ids", "answer_prob"}
    extras = {"own_rows", "mark_rows", "answer_entropy"}
    assert set(SWITCHES) == set(SCHEMA) - always - extras


@pytest.mark.parametrize(
    ("parts", "labels", "message"),
    [
        ({"x": Part(np.zeros(3), "n")}, {}, "axis 'n' is"),
        ({}, {"n": ("a",)}, "labels for 2"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(parts, labels, message):
    with pytest.raises(ValueError, match=message):
        Result(np.zeros(2), "n", parts, labels)


def test_axes_must_fit_the_array():
    with pytest.raises(ValueError, match="do not fit"):
        Part(np.zeros((2, 2)), "n")


def test_a_missing_array_is_named_by_the_trace_itself(make_trace):
    with pytest.raises(MissingSignal, match="does not hold 'flow'"):
        make_trace(flow=None)["flow"]
