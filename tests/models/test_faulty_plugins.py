"""A method of a stranger that is faulty is named at once: in library, command, sweep and page."""

import json
import sys

import numpy as np
import pytest
import torch

import tokviz
from tokviz.cli.main import main
from tokviz.errors import FaultyPlugin, InputError, ModelError
from tokviz.matrix import Reduction
from tokviz.reduction import METHODS, Stage, method
from tokviz.sweeps import worker

PROMPT, KEEP = "what is this?", 9
PLACES = {"before": ("feats_post",), "language_model": ("llm_hidden",), "tower": ("keys", "index")}


def sound(signals, keep):
    return Reduction.select(np.arange(keep), signals.n)


def looks_up(signals, keep):
    return {}["no such key"]


def leaves(signals, keep):
    sys.exit(3)


def never_ends(signals, keep):
    return never_ends(signals, keep)


def one_more(signals, keep):
    return sound(signals, keep + 1)


def nothing(signals, keep):
    return None


def changes(signals, keep):
    for name in signals:
        if isinstance(signals[name], torch.Tensor) and signals[name].is_floating_point():
            signals[name].mul_(0)
    return sound(signals, keep)


def says_too_much(signals, keep):
    print("hello from the plugin")
    return sound(signals, keep)


def points_outside(signals, keep):
    return Reduction.select(np.arange(keep) + signals.n, signals.n)


def reads_what_is_not(signals, keep):
    return signals["no_such_signal"]


def takes_no_budget(signals):
    return sound(signals, 1)


FAULTS = {
    looks_up: r"it raised KeyError \('no such key'\)",
    leaves: r"it raised SystemExit \(3\)",
    never_ends: "it raised RecursionError",
    one_more: f"it keeps {KEEP + 1} tokens, but {KEEP} were asked for",
    nothing: "it must return a Reduction, got NoneType",
    changes: "it changes the signals that it is given",
    takes_no_budget: "it raised TypeError",
}


@pytest.fixture
def planted():
    """Factory: registers a method under the name "Méthode à moi"; taken out again afterwards."""

    def plant(decide, place="before", name="Méthode à moi"):
        stages = {"schedule": lambda n, keep, layers: [Stage(2, keep)]} if place != "before" else {}
        method(name, title=name, place=place, needs=PLACES[place], **stages)(decide)
        return name

    yield plant
    METHODS.remove("Méthode à moi")


@pytest.mark.parametrize(
    ("decide", "says"),
    [
        (points_outside, "the method 'Méthode à moi': an entry lies outside the"),
        (reads_what_is_not, "the method 'Méthode à moi': there is no signal 'no_such_signal'"),
    ],
)
def test_what_tokviz_refuses_inside_a_method_has_its_name(vlm, cat, planted, decide, says):
    with pytest.raises(InputError, match=says):
        vlm.answer(cat, PROMPT, tokviz.plan(planted(decide), KEEP), 2)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("decide", FAULTS)
def test_a_fault_is_told_with_the_methods_name(vlm, cat, planted, decide, place):
    if decide is changes and place == "tower":
        pytest.skip("its keys are layered, and this fault changes bare arrays alone")
    name = planted(decide, place)
    before = vlm.answer(cat, PROMPT, None, 2)
    with pytest.raises(
        FaultyPlugin, match=f"the method 'Méthode à moi' is faulty: {FAULTS[decide]}"
    ):
        vlm.answer(cat, PROMPT, tokviz.plan(name, KEEP), 2)
    after = vlm.answer(cat, PROMPT, None, 2)
    assert np.array_equal(before["answer_prob"], after["answer_prob"])


def test_no_memory_is_no_fault_of_the_method(vlm, cat, planted):
    def asks_for_much(signals, keep):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ModelError, match="out of memory"):
        vlm.answer(cat, PROMPT, tokviz.plan(planted(asks_for_much), KEEP), 2)


def test_a_name_that_is_taken_is_refused(planted):
    planted(sound)
    for name in ("fastv", "Méthode à moi"):
        with pytest.raises(ValueError, match=f"the method name '{name}' is already taken"):
            method(name, title="T", place="before", needs=("feats_post",))(sound)


@pytest.mark.parametrize("name", ["", " a", "a,b", "a.b", "a=1", "../x", "<b>", "a\n", "a" * 61, 5])
def test_a_name_that_a_command_line_cannot_carry_is_refused(name):
    with pytest.raises(ValueError, match="cannot be used: a name is 1 to 60 letters"):
        method(name, title="T", place="before", needs=("feats_post",))(sound)
    assert name not in METHODS


@pytest.fixture
def shell(vlm, cat, tmp_path, monkeypatch):
    """A folder with a picture; commands run on the tiny model."""
    monkeypatch.setattr(tokviz, "load", lambda *_, **__: vlm, raising=False)
    monkeypatch.setattr(worker, "load", lambda *_, **__: vlm)
    cat.save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)


def test_the_command_tells_it_and_shows_the_traceback_when_asked(shell, planted, capsys):
    asked = ["answer", "a.png", "--prompt", PROMPT, "--method", planted(looks_up), "--keep", "9"]
    assert main(asked) == 2
    said = capsys.readouterr()
    assert said.err.startswith("tokviz: the method 'Méthode à moi' is faulty: it raised KeyError")
    assert said.err.count("\n") == 1
    assert main([*asked, "--debug"]) == 2
    assert "in looks_up" in capsys.readouterr().err


def test_what_a_method_prints_does_not_get_into_json(shell, planted, capsys):
    asked = ["--method", planted(says_too_much), "--keep", "9", "--json"]
    assert main(["answer", "a.png", "--prompt", PROMPT, *asked]) == 0
    assert json.loads(capsys.readouterr().out)["visual_tokens"]["left"] == KEEP
    assert main(["sweep", ".", "--prompt", PROMPT, *asked]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["failed"] == 0
    assert "hello from the plugin" in said.err


def test_a_sweep_names_it_and_measures_its_rows_once_it_is_mended(shell, planted, capsys):
    asked = [
        "sweep",
        ".",
        "--prompt",
        PROMPT,
        "--keep",
        "9",
        "--json",
        "--no-baselines",
        "--method",
    ]
    name = planted(one_more)
    assert main([*asked, name]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["failed"] == 1
    (reason,) = record["reasons"]
    assert reason.startswith("the method 'Méthode à moi' is faulty: it keeps 10 tokens")
    METHODS.remove(name)
    planted(sound)
    assert main([*asked, name]) == 0
    assert json.loads(capsys.readouterr().out) | {"folder": ""} == {
        "folder": "", "rows": 2, "measured_now": 1, "failed": 0, "reasons": {},
    }  # fmt: skip


def test_a_lane_of_the_page_shows_it_and_the_others_go_on(vlm, cat, planted):
    """Lanes are what the page streams; an error ends only its own."""
    plans = [None, tokviz.plan(planted(looks_up), KEEP)]
    *_, lanes = vlm.stream(cat, PROMPT, plans, 2)
    assert lanes[0].trace.t
    assert lanes[1].error.startswith("the method 'Méthode à moi' is faulty")
