"""Ctrl-C in every command, at any pass through the model: one sentence, status 130, no loss."""

import json
import os
import signal

import numpy as np
import pytest
from PIL import Image
from torch.nn.modules.module import register_module_forward_pre_hook

import tokviz
from tests.models.tiny import TINY, shake
from tokviz import catalog
from tokviz.cli.main import main, make_parser
from tokviz.sweeps import flip_traces, worker

ASKED = ["a.png", "--prompt", "what is this?", "--max-new-tokens", "12"]
COMMANDS = {
    "answer": [*ASKED, "--method", "fastv", "--keep", "9", "--repeats", "4"],
    "analyse": [*ASKED[:3], "--analysis", "leave_out"],
    "diagnose": ASKED,
    "check": [*ASKED, "--analysis", "attention"],
    "search": ASKED,
    "search --for keep": [*ASKED, "--for", "keep", "--method", "divprune"],
    "check-method": ["norm"],
    "check-family": ["family_of_ours"],
    "check-model": [],
    "sweep": [
        ".",
        "--prompt",
        "what?",
        "--method",
        "norm",
        "--keep",
        "9",
        "--no-baselines",
        "--max-new-tokens",
        "60",
    ],
}
WITHOUT_MODEL = {"import", *catalog.LISTS}
AT = (1, 150, 1500)
"""Numbers of module calls: in the tower, in the first answer, in what comes after it."""
ANSWER_FIRST = (
    "answer",
    "diagnose",
    "check",
    "search",
    "check-method",
    "check-family",
    "check-model",
)
"""Commands that have something to show at the last of these."""


@pytest.fixture(scope="module")
def pair():
    model, processor = TINY["llava"].build()
    model.generation_config.eos_token_id = None
    model.generation_config.suppress_tokens = list(range(5))  # no special token in random answers
    return shake(model), processor


@pytest.fixture
def desk(pair, tmp_path, monkeypatch):
    """A folder with a picture and a family's module; loading gives one tiny model."""
    vlm = tokviz.load(pair)
    for place in (tokviz, worker, flip_traces):
        monkeypatch.setattr(place, "load", lambda *_, **__: vlm, raising=False)
    pixels = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "family_of_ours.py").write_text("tiny = lambda: ()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def ctrl_c_at():
    """Factory: Ctrl-C arrives at this call of any of the model's modules."""
    before, hooks, calls = signal.signal(signal.SIGINT, signal.default_int_handler), [], []

    def arrive(number):
        def count(*_):
            calls.append(1)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGINT)

        hooks.append(register_module_forward_pre_hook(count))
        return calls

    yield arrive
    for hook in hooks:
        hook.remove()
    signal.signal(signal.SIGINT, before)


def status(command, given):
    try:
        return main([command.split()[0], *given])
    except SystemExit as left:
        return left.code


def test_every_command_that_runs_a_model_is_tried():
    parser = make_parser()
    known = next(action for action in parser._actions if action.choices).choices
    assert {name.split()[0] for name in COMMANDS} | WITHOUT_MODEL == set(known)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_is_one_sentence_and_keeps_what_was_found(
    desk, ctrl_c_at, capsys, command, at, form
):
    calls = ctrl_c_at(at)
    assert status(command, [*COMMANDS[command], *form]) == 130
    said = capsys.readouterr()
    assert len(calls) < at + 300, "the model went on"  # a step of every lane
    sentence = said.err.strip().splitlines()
    assert sentence[0].startswith("tokviz: stopped")
    told = "what was found so far follows" in sentence[0]
    assert len(sentence) == 1 or (told and command == "answer" and not form)
    if command == "sweep":
        assert "the same command goes on from there" in sentence[0]
    else:
        assert told == bool(said.out)
    if at == AT[-1] and command in ANSWER_FIRST:
        assert said.out
    if form and said.out:
        json.loads(said.out)


def test_the_trace_of_an_answer_that_was_stopped_is_written(desk, ctrl_c_at, capsys):
    ctrl_c_at(250)
    assert main(["answer", *ASKED, "--trace", "run.safetensors"]) == 130
    found = tokviz.open_trace("run.safetensors")
    assert found.finish == "stopped"
    assert capsys.readouterr().out.strip() == found.answer.strip()


def test_a_sweep_that_was_stopped_goes_on(desk, ctrl_c_at, capsys):
    Image.open("a.png").rotate(90).save("b.png")
    ctrl_c_at(600)
    assert status("sweep", COMMANDS["sweep"]) == 130
    capsys.readouterr()
    assert status("sweep", [*COMMANDS["sweep"], "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["rows"] == 4
    assert record["failed"] == 0
