"""What a shell expects: Ctrl-C, closed pipes, full disks, the standard input, completion."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tokviz
from tests.fakes import six_token_trace
from tokviz.cli import examine
from tokviz.cli.interrupt import until_interrupted
from tokviz.cli.main import main, make_parser
from tokviz.errors import InputError
from tokviz.examine.counterfactual import find_tokens, smallest_keep
from tokviz.interruption import Interrupted

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


class Answers:
    """A model that remembers what it was asked, and may do something meanwhile."""

    def __init__(self):
        self.meanwhile = lambda stop: None

    def answer(self, images, prompt, plan=None, max_new_tokens=64, stop=None):
        self.images, self.prompt, self.plan = images, prompt, plan
        self.meanwhile(stop)
        return six_token_trace(None, prompt)


@pytest.fixture
def vlm(monkeypatch):
    fake = Answers()
    monkeypatch.setattr(tokviz, "load", lambda name, **more: fake, raising=False)
    return fake


ASK = ["answer", "a.png", "--prompt", "dog ?"]


def test_several_pictures_and_the_standard_input(vlm, monkeypatch, capsys):
    assert main(["answer", "a.png", "b.png", "--prompt", "which ?"]) == 0
    assert vlm.images == ["a.png", "b.png"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\x89PNG")))
    assert main(["answer", "a.png", "-", "--prompt", "which ?"]) == 0
    assert vlm.images == ["a.png", b"\x89PNG"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("is it a dog ?\n"))
    assert main(["answer", "a.png", "--prompt", "-"]) == 0
    assert vlm.prompt == "is it a dog ?\n"
    assert main(["answer", "-", "--prompt", "-"]) == 2
    assert "only one of IMAGE and --prompt can be -" in capsys.readouterr().err


def test_methods_are_composed_in_their_order_with_a_share_as_a_budget(vlm):
    given = [*ASK, "--method", "tome,fastv", "--keep", "72,25%", "--option", "fastv.layer=3"]
    assert main(given) == 0
    first, second = vlm.plan.steps
    assert (first.method, first.keep, second.method, second.keep) == ("tome", 72, "fastv", "25%")
    assert second.entry.check_options(second.options)["layer"] == 3
    assert main([*ASK, "--method", "tome", "--method", "fastv", "--keep", "72", "--keep", "9"]) == 0
    assert [step.keep for step in vlm.plan.steps] == [72, 9]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--method", "tome,fastv", "--keep", "9"], "2 methods, 1 budgets"),
        (["--method", "fastv,tome", "--keep", "9,9"], "the steps of a plan must be in order"),
        (["--method", "fastv", "--keep", "0%"], "--keep must be a count such as 64 or a share"),
        (
            ["--method", "fastv,fastervlm", "--keep", "9,9", "--option", "layer=1"],
            "in order|of several methods",
        ),
        (["--keep", "25%"], "need --method"),
    ],
)
def test_what_cannot_be_composed_is_one_sentence(vlm, capsys, given, says):
    assert main([*ASK, *given]) == 2
    assert re.search(says, capsys.readouterr().err)


def test_a_budget_without_a_method_is_an_error_of_every_command(capsys):
    given = ["a.png", "--prompt", "?", "--keep", "9"]
    assert main(["analyse", *given, "--analysis", "tam"]) == 2
    assert "need --method" in capsys.readouterr().err
    stored = ["analyse", "--from-trace", "x", "--analysis", "tam", "--method", "fastv"]
    assert main([*stored, "--keep", "9"]) == 2
    assert capsys.readouterr().err


@pytest.fixture
def ctrl_c():
    """Ctrl-C arrives, also where these tests run as a job in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(*_):
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_keeps_what_was_written_and_leaves_with_130(vlm, ctrl_c, capsys):
    vlm.meanwhile = interrupted
    assert main(ASK) == 130
    said = capsys.readouterr()
    assert said.out == "yes .\n"
    assert "what was found so far follows" in said.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_leaves_at_once_and_any_other_is_a_sentence(
    vlm, ctrl_c, capsys, monkeypatch
):
    vlm.meanwhile = lambda stop: (interrupted(), interrupted())
    assert main(ASK) == 130
    said = capsys.readouterr()
    assert (said.out, said.err.count("Traceback")) == ("", 0)

    def load(name, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(tokviz, "load", load)
    for command in ([*ASK], ["diagnose", *ASK[1:]], ["analyse", *ASK[1:], "--analysis", "tam"]):
        assert main(command) == 130
        assert capsys.readouterr().err == "\ntokviz: stopped.\n"


def test_a_search_that_is_interrupted_tells_the_best_set_so_far(ctrl_c):
    asked = []

    def answers(kept):
        asked.extend(kept)
        if len(asked) > 20:
            interrupted()
        return ["yes" if 3 in tokens else "no" for tokens in kept]

    with until_interrupted() as stop:
        found = find_tokens(answers, 64, [np.arange(64.0)], "necessary", limit_s=1e6, stop=stop)
    assert found.found
    assert not found.minimal
    assert 3 in found.tokens
    assert "in the time there was" in found.sentence() or len(found.tokens) > 1
    assert examine.status_of(stop) == 130


def test_a_search_for_a_budget_tells_those_that_were_tried_before(ctrl_c):
    def answers(budgets):
        if 1 in budgets:
            interrupted()
        return ["yes"] * len(budgets)

    with until_interrupted() as stop:
        keep, tried = smallest_keep(answers, 2**12, stop=stop)
    assert keep == min(tried) == 2**4  # the second batch of halves holds 1
    assert examine.status_of(stop) == 130
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Interrupted, match="before the first answer"):
        smallest_keep(answers, 64, stop=stopped)


def shell(*arguments, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "tokviz", *arguments],
        cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, **more,
    )  # fmt: skip


def test_a_reader_that_went_away_is_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    done = shell("methods", "--json", stdout=writing)
    os.close(writing)
    assert done.communicate()[1] == b""
    assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_sentence():
    with Path("/dev/full").open("wb") as full:
        done = shell("methods", stdout=full)
        said = done.communicate()[1].decode()
    assert done.returncode == 1
    assert said == "tokviz: the output cannot be written: No space left on device.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_trace_that_has_no_room_does_not_take_the_answer_along(vlm, capsys):
    assert main([*ASK, "--trace", "/dev/full"]) == 2
    said = capsys.readouterr()
    assert said.out == "yes .\n"
    assert "the trace cannot be written to '/dev/full': No space left" in said.err
    assert not Path("/dev/full").is_file()


@pytest.mark.parametrize(
    ("closed", "command"),
    [
        ("stdout", ["methods"]),
        pytest.param("stdout", ["--help"], marks=pytest.mark.weekly),
        pytest.param("stderr", ["--help"], marks=pytest.mark.weekly),
        ("stderr", ["methods", "no_such_name"]),
    ],
)
def test_an_output_that_the_shell_closed_is_no_traceback(closed, command):
    """As with `tokviz methods >&-`."""
    code = (
        f"import os, runpy, sys; sys.{closed} = None; sys.argv[1:] = {command!r}; "
        "runpy.run_module('tokviz', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == (2 if "no_such_name" in command else 0)
    if closed == "stderr":
        assert "there is no method" not in done.stdout


def test_debug_shows_the_traceback_of_what_was_told_in_a_sentence(vlm, capsys):
    def fails(stop):
        try:
            raise KeyError("deep inside")
        except KeyError as error:
            raise InputError("it did not work.") from error

    vlm.meanwhile = fails
    assert main(ASK) == 2
    assert capsys.readouterr().err == "tokviz: it did not work.\n"
    assert main([*ASK, "--debug"]) == 2
    said = capsys.readouterr().err
    assert "KeyError: 'deep inside'" in said
    assert said.endswith("tokviz: it did not work.\n")


@pytest.mark.parametrize(
    ("which", "name"),
    [
        ("methods", "fastv"),
        ("mitigations", "pai"),
        ("analyses", "tam"),
        ("families", "llava"),
        ("models", "embedded"),
    ],
)
def test_a_list_shows_one_entry_with_all_that_is_known(capsys, which, name):
    assert main([which, name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == name
    assert all(line.startswith("  ") for line in lines[1:])
    assert main([which, name, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["name"] == name
    for option in record.get("options", []):
        assert any(line.startswith(f"    {option['name']} (") for line in lines)
    assert main([which, f"{name}x"]) == 2
    assert f"Did you mean '{name}'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["check-family", ""], "given by the name of its module"),
        (["check-family", "..models"], "given by the name of its module"),
        (["methods", "fastv", "--where", "before"], "not both"),
        (["sweep", "pics", "--workers", "2"], "--workers needs --engine ray"),
        (["sweep", "pics", "--traces", "-1"], "traces must be a count of questions from 0 on"),
        (["sweep", "pics", "--limit", "0"], "limit must be a count of questions from 1 on"),
        (["check", "a.png", "--prompt", "x", "--analysis", "attention", "--region", "0,0,x,1"],
         "--region must be"),
    ],
)  # fmt: skip
def test_what_would_be_ignored_or_fail_is_refused_before_a_model_is_loaded(
    capsys, monkeypatch, given, says
):
    monkeypatch.setattr(tokviz, "load", None, raising=False)
    assert main(given) == 2
    assert says in capsys.readouterr().err


def test_filters_that_nothing_fits_are_told(capsys):
    assert main(["methods", "--frames", "yes", "--where", "cache"]) == 0
    assert "no method fits" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["pics/\0", "\ud800", None, 7, [], np.arange(3)])
def test_a_trace_is_not_written_to_what_names_no_file(place):
    with pytest.raises(tokviz.TraceError, match="give a file's path"):
        six_token_trace().save(place)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("anser a.png", "Did you mean 'answer'?"),
        ("answer a.png --prompt x --methd fastv", "--methd fastv Did you mean '--method'?"),
        ("answer a.png --prompt x --keeep=9", "Did you mean '--keep'?"),
        ("answer a.png --prompt x --positions repac", "Did you mean 'repack'?"),
        ("sweep pics --engine rya", "Did you mean 'ray'?"),
        ("methods --markdwn", "Did you mean '--markdown'?"),
    ],
)
def test_misspelt_commands_flags_and_values_are_told_what_is_meant(capsys, line, says):
    with pytest.raises(SystemExit, match="2"):
        make_parser().parse_args(line.split())
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (["ans"], "answer"),
        (["answer", "--meth"], "--method"),
        (["answer", "a.png", "--method", "faster"], "fastervlm"),
        (["methods", "visionz"], "visionzip"),
    ],
)
def test_a_shell_completes_commands_flags_and_names(line, wanted):
    argcomplete = pytest.importorskip("argcomplete")
    finder = argcomplete.CompletionFinder(make_parser())
    found = finder._get_completions(["tokviz", *line[:-1]], line[-1], "", None)
    assert wanted in [one.strip() for one in found]


@pytest.mark.parametrize(
    ("package", "command"),
    [("numpy", ["methods"]), ("torch", ["answer", "a.png", "--prompt", "?"])],
)
def test_outside_its_environment_the_command_says_what_is_missing(package, command):
    code = (
        f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv[1:] = {command!r}; "
        "runpy.run_module('tokviz', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"the package {package} is not installed for this Python" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "pip install ." in done.stderr
