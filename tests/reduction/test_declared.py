"""What methods declare is enough and true: needs, options, counts. Read off every method."""

import re
from dataclasses import replace

import numpy as np
import pytest

import tokviz
from scripts.method_pages import methods_page
from tokviz.analysis import ANALYSES
from tokviz.errors import InputError, TokvizError
from tokviz.matrix import Reduction
from tokviz.mitigation import MITIGATIONS
from tokviz.reduction import METHODS, reduce
from tokviz.reduction.check_decision import check_decision
from tokviz.reduction.signal_table import SIGNALS

BEFORE = sorted(name for name, entry in METHODS.items() if entry.place == "before")
INSIDE = sorted(name for name, entry in METHODS.items() if entry.place == "language_model")
OPTIONS = [
    pytest.param(option, id=f"{entry.name}.{option.name}")
    for table in (METHODS, MITIGATIONS, ANALYSES)
    for entry in table.values()
    for option in entry.options.values()
]


LEAST = {"fastvggt": 18, "dc2": 12}
"""Smallest counts that methods reach which never merge a whole frame or tile away."""


@pytest.mark.parametrize("name", BEFORE)
def test_what_a_method_needs_is_enough_or_it_says_what_is_not(name, random_signals):
    """AIM, PruMerge, HiRED and FlowCut once died on their own `needs`, in words about no tokens."""
    entry = METHODS[name]
    crops = any("crop" in needed for needed in entry.needs)
    signals = random_signals(18, crops=crops)
    given = {need: signals[need] for need in entry.needs}
    try:
        done = reduce(name, given, LEAST.get(name, 9))
    except TokvizError as error:
        said = str(error)
        named = [word for word in re.findall(r"\w+", said) if word in {*SIGNALS} - {*given}]
        if not named:
            pytest.fail(f"it must name a signal that would do: {said}")
        more = {signal: signals[signal] for signal in (*named, "num_layers") if signal in signals}
        done = reduce(name, {**given, **more}, LEAST.get(name, 9))
    assert done.n == 18


@pytest.mark.parametrize("option", OPTIONS)
def test_the_value_used_is_the_value_given_or_it_is_refused(option):
    """1.7 once became 1, "false" became True."""
    assert option.check(option.default) == option.default
    if option.type is bool:
        assert [option.check(x) for x in (True, "false", "True", np.False_, 1)] == [
            True, False, True, False, True,
        ]  # fmt: skip
        refused = [1.7, "maybe", 2, None]
    elif option.choices:
        assert [option.check(str(choice)) for choice in option.choices] == list(option.choices)
        refused = ["no such thing", None]
    elif option.type is str:
        assert option.check("some words") == "some words"
        refused = [0.5, True, None, ["words"]]
    elif option.type is int:
        low = int(option.range.low) if option.range else 1
        assert [option.check(x) for x in (low, str(low), np.int64(low), float(low))] == [low] * 4
        refused = [low + 0.5, f"{low}.5", True, "many", np.nan]
    else:
        low = option.range.low if option.range else 0.5
        assert [option.check(x) for x in (low, str(low), np.float64(low))] == [low] * 3
        refused = [np.nan, np.inf, "many", True, [0.5]]
    if option.range:
        refused += [option.range.low - 1, option.range.high + 1]
    if option.default is None:
        refused = [value for value in refused if value is not None]
        assert option.check(None) is None
    for value in refused:
        with pytest.raises(InputError, match=f"{option.name} must be"):
            option.check(value)


LAYER_OPTIONS = {
    "fastv": "layer", "dart": "layer", "cmai": "depth", "dyvte": "depth", "yopo": "cut",
    "todre_exit": "start", "vtw": "layer", "d2pruner": "layer", "gamma_mod": "first_layer",
}  # fmt: skip
"""Options that say at which layer of the language model a method acts."""


@pytest.mark.parametrize("layers", [4, 6, 28, 32])
@pytest.mark.parametrize("name", sorted(LAYER_OPTIONS))
def test_a_layer_that_is_asked_for_is_the_layer_used(name, layers):
    """fastv layer=40 on 6 layers once ran at layer 5, and the sweep's row said 40."""
    entry, option = METHODS[name], LAYER_OPTIONS[name]
    whole = entry.options[option].type is int
    values = range(1, 65) if whole else np.linspace(0, 1, 41)
    used = refused = 0
    for value in values:
        try:
            stages = entry.stages(18, 5, layers, **{option: value})
        except InputError as error:
            refused += f"{layers} layers" in str(error)
            continue
        used += 1
        want = value if whole else round(value * layers)
        if name == "todre_exit":
            want = int(value * layers) + 1
        assert stages[0].layer == want or value == entry.options[option].default
    assert used
    assert used + refused == len(values)  # every refusal says how many layers there are


def test_every_option_of_a_layer_inside_is_among_them():
    named = {
        name
        for name in INSIDE
        if {"layer", "depth", "cut", "start", "first_layer"} & set(METHODS[name].options)
    }
    assert named == set(LAYER_OPTIONS)


def test_keep_all_is_the_identity_but_for_those_that_choose_their_own_count(random_signals):
    for name in BEFORE:
        entry = METHODS[name]
        signals = random_signals(18, crops=any("crop" in needed for needed in entry.needs))
        done = reduce(name, signals, 18)
        if not entry.adaptive:
            assert np.array_equal(done.matrix(), np.eye(18)), name


@pytest.fixture
def sound():
    return Reduction.select([0, 2, 4], 6)


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (lambda r: Reduction.select([0, 1, 2, 4], 6), "keeps 4 tokens, but 3 were asked for"),
        (lambda r: Reduction.select([0], 6), "keeps 1 tokens, but 3"),
        (lambda r: Reduction.select([0, 2, 4], 7), "is for 7 tokens, there are 6"),
        (lambda r: replace(r, weights=r.weights.astype(np.float64)), "must be float32"),
        (lambda r: replace(r, weights=r.weights * np.float32(np.nan)), "must be finite"),
        (lambda r: replace(r, weights=r.weights[:2]), "the same length"),
        (lambda r: replace(r, cols=r.cols + 9), "outside the"),
        (lambda r: replace(r, score=np.zeros(3, np.float32)), r"score must be \[6\]"),
        (lambda r: replace(r, position=r.position[:, None]), "with one axis"),
        (lambda r: [0, 2, 4], "must return a Reduction, got list"),
        (lambda r: None, "must return a Reduction, got NoneType"),
        (lambda r: replace(r, weights=-r.weights), "weights must be above 0, got -1"),
        (lambda r: replace(r, weights=r.weights * np.float32(0)), "weights must be above 0, got 0"),
        (lambda r: replace(r, cols=r.cols[::-1], rows=r.rows[::-1]), "in order of rows"),
        (lambda r: replace(r, score=[1.0] * 6), r"score must be \[6\], got list"),
        (lambda r: replace(r, score=np.full(6, np.inf)), "score must be finite"),
        (lambda r: replace(r, score=np.array(["a"] * 6)), "score must be finite"),
        (lambda r: replace(r, order=np.array([7])), "order must be numbers of tokens, 0 to 5"),
        (lambda r: replace(r, roles={"a": np.array([-1])}), "a must be numbers of tokens"),
        (lambda r: replace(r, roles={"a": np.array([0.5])}), "a must be numbers of tokens"),
        (lambda r: replace(r, roles=5), "roles must be a mapping"),
        (lambda r: replace(r, notes="a text"), "notes must be a tuple of sentences"),
        (lambda r: replace(r, notes=(1,)), "notes must be a tuple of sentences"),
        (lambda r: replace(r, notes=("x" * 10**6,)), "at most 20,000 characters"),
    ],
)
def test_a_faulty_plugin_is_told_at_once_by_name(sound, break_it, complaint):
    entry = METHODS["random"]
    assert check_decision(entry, sound, 6, 3) is sound
    with pytest.raises(InputError, match=f"method 'random' is faulty: .*{complaint}"):
        check_decision(entry, break_it(sound), 6, 3)


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (lambda r: replace(r, rows=r.rows * 0), "every row needs an entry"),
        (lambda r: replace(r, position=r.position * 0), "two rows have the same position"),
    ],
)
def test_where_rows_take_the_places_of_tokens_each_has_its_own(sound, break_it, complaint):
    for name in ("fastv", "tome"):
        with pytest.raises(InputError, match=f"method '{name}' is faulty: {complaint}"):
            check_decision(METHODS[name], break_it(sound), 6, 3)


def test_a_plan_is_checked_when_it_is_made():
    for keep in ("many", 0, 2.5, True, "200%"):
        with pytest.raises(InputError, match="keep must be a count"):
            tokviz.plan("fastervlm", keep=keep)
    assert tokviz.plan("fastervlm", keep=np.int64(9)) == tokviz.plan("fastervlm", keep="9")
    assert tokviz.plan("fastervlm", keep="50.0%").label == "FasterVLM, 50% of the tokens"
    with pytest.raises(InputError, match=r"needs a budget: tokviz.plan\('fastervlm', keep=64\)"):
        tokviz.plan("fastervlm")


def test_a_trace_is_no_mapping_of_signals():
    with pytest.raises(InputError, match=r"a mapping of names to arrays, got a object.*vlm.answer"):
        reduce("fastervlm", object(), 3)


def test_the_page_says_who_chooses_its_own_count_and_where_w_acts():
    page = methods_page()
    told = page.split("choose their own count, which may still leave fewer: ")[1].split(".\n")[0]
    assert told == ", ".join(f"`{e.name}`" for e in METHODS.values() if e.adaptive)
    assert page.count("\nW acts ") == len(METHODS)
