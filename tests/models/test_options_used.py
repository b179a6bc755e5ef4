"""The value of an option that is used is the one that is shown, or it is refused: every option.

What was used is read where the engine uses it: the arguments of the method's own functions, and the
layers in which its stages took place.
"""

import numpy as np
import pytest

import tokviz
from tokviz.capture import Capture
from tokviz.errors import InputError, TokvizError
from tokviz.mitigation import MITIGATIONS
from tokviz.reduction import METHODS
from tokviz.sweeps.setting import settings

PROMPT = "what is this?"
KEEP = 12
NUMERIC = [
    pytest.param(name, option, id=f"{name}-{option.name}")
    for name, entry in METHODS.items()
    for option in entry.options.values()
    if option.type in (int, float) and not option.choices
]
MITIGATED = [
    pytest.param(name, option, id=f"{name}-{option.name}")
    for name, entry in MITIGATIONS.items()
    for option in entry.options.values()
    if option.type in (int, float) and not option.choices
]
NEVER = ["true", "two", True, b"2", [2], {}, float("nan"), float("inf"), "", "2;3"]


def outside(option):
    """Values that an option must refuse: of another kind, fractions of whole numbers, too far."""
    found = [*NEVER, *((2.5, "2.5", np.float32(2.5)) if option.type is int else ())]
    if option.range:
        low, high = option.range.low, option.range.high
        found += [low - 1, high + 1, np.float64(high * 1.01 + 0.01), str(high + 1), 10**400]
    return found


def inside(option):
    """Values at the ends, and numpy's and a shell's forms of others."""
    kind = np.int64 if option.type is int else np.float64
    if not option.range:
        return [kind(1), "1", -1, 3, 4, -4, -5, 40]
    low, high = option.range.low, option.range.high
    between = option.type((low + high) / 2)
    return [option.type(low), option.type(high), kind(between), str(between)]


def switched(entry, option):
    """The other options with which alone this one is read."""
    switch = entry.only_with.get(option.name)
    return {switch[0]: switch[1]} if switch else {}


def plan_of(kind, name, **options):
    if kind == "method":
        return tokviz.plan(name, KEEP, **options)
    return tokviz.plan(mitigation=name, **options)


def refused(kind, name, option):
    """Every value outside is refused with the option's name."""
    for value in outside(option):
        with pytest.raises(InputError, match=rf"^{option.name} must be .*, got "):
            plan_of(kind, name, **{option.name: value})


def run(vlm, image, plan):
    """Return the trace of a run; None where it is refused in a sentence."""
    try:
        return vlm.answer(image, PROMPT, plan, 1, Capture.nothing())
    except TokvizError:
        return None


@pytest.fixture
def watched(monkeypatch):
    """Method -> the arguments with which its own functions were called, one dict per call."""
    used = {}

    def watch(entry):
        for part in ("decide", "schedule"):
            function = getattr(entry, part)
            if function is None:
                continue

            def called(*given, _function=function, **options):
                used.setdefault(entry.name, []).append(options)
                return _function(*given, **options)

            monkeypatch.setitem(entry.__dict__, part, called)
        return used

    return watch


@pytest.mark.parametrize(("name", "option"), NUMERIC)
def test_what_is_no_value_of_an_option_is_refused_by_name(name, option):
    refused("method", name, option)


@pytest.mark.parametrize(("name", "option"), MITIGATED)
def test_what_is_no_value_of_a_mitigations_option_is_refused_by_name(name, option):
    refused("mitigation", name, option)


@pytest.mark.matrix
@pytest.mark.parametrize(("name", "option"), NUMERIC)
def test_the_value_that_the_engine_used_is_the_one_that_was_given(vlm, cat, watched, name, option):
    entry = METHODS[name]
    used = watched(entry)
    depth = vlm.info["layers" if entry.place in ("language_model", "cache") else "tower_layers"]
    for value in inside(option):
        used.clear()
        given = {option.name: value, **switched(entry, option)}
        shown = entry.check_options(given)[option.name]
        assert (shown, type(shown)) == (option.type(value), option.type)
        if (trace := run(vlm, cat, plan_of("method", name, **given))) is None:
            continue
        assert used[name]
        assert all(call[option.name] == shown for call in used[name])
        if option.name == "layer" or option.name.endswith("_layer"):
            assert -depth <= shown < depth
        if option.name == "layer" and entry.place == "language_model":
            assert [stage.layer for stage in trace.stages] == [shown]
        (setting,) = settings(name, KEEP, {name: given}, ())[1:]
        assert setting.identity()["options"][option.name] == shown


@pytest.mark.matrix
@pytest.mark.parametrize(("name", "option"), MITIGATED)
def test_the_value_that_a_mitigation_used_is_the_one_that_was_given(vlm, cat, name, option):
    for value in inside(option):
        shown = MITIGATIONS[name].check_options({option.name: value})[option.name]
        assert (shown, type(shown)) == (option.type(value), option.type)
        if (trace := run(vlm, cat, plan_of("mitigation", name, **{option.name: value}))) is None:
            continue
        assert trace.mitigation.options[option.name] == shown
        if option.name == "first_layer":
            assert shown < vlm.info["layers"]


def test_a_layer_beyond_the_tower_is_refused_and_not_another_one(vlm, cat):
    """Layer 4 of 4 was once layer 0, in silence."""
    for layer in (4, -5, 40):
        with pytest.raises(
            InputError, match=f"layer must be -4 to 3 here, as the vision tower has 4.*{layer}"
        ):
            vlm.answer(cat, PROMPT, tokviz.plan("fastervlm", KEEP, layer=layer), 1)
    signals = {"cls_attn": {i: np.random.default_rng(i).random((2, 6)) for i in range(4)}}
    with pytest.raises(InputError, match="layer must be -4 to 3, got 4"):
        tokviz.reduce("fastervlm", signals, 3, layer=4)


def test_an_option_that_would_not_be_read_is_refused():
    with pytest.raises(InputError, match="heads = 3 would not be used: sparsevlm reads it with ve"):
        tokviz.plan("sparsevlm", KEEP, heads=3)
    assert tokviz.plan("sparsevlm", KEEP, heads=3, version="2.0").steps
    for name, entry in METHODS.items():
        for option, (switch, value) in entry.only_with.items():
            assert {option, switch} <= set(entry.options), name
            assert entry.options[switch].check(value) == value
