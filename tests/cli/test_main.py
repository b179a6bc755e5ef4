"""The command line: what it prints, where, and with which exit status."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import tokviz
from tests.fakes import six_token_trace, two_kept_two_merged_two_pruned
from tokviz import catalog
from tokviz.cli.main import main
from tokviz.errors import InputError, TraceError
from tokviz.trace import open_trace
from tokviz.trace.export import answer_record
from tokviz.trace.stages import MitigationRecord

ROOT = Path(__file__).parents[2]


class FakeVLM:
    """Answers with the six-token trace and remembers what it was asked."""

    def __init__(self):
        self.asked = None

    def answer(self, images, prompt, plan=None, max_new_tokens=64, stop=None):
        self.asked = (images, prompt, plan, max_new_tokens)
        return six_token_trace(two_kept_two_merged_two_pruned() if plan else None, prompt)


@pytest.fixture
def vlm(monkeypatch):
    fake = FakeVLM()
    monkeypatch.setattr(tokviz, "load", lambda name: fake, raising=False)
    return fake


def run(capsys, *arguments):
    status = main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


REDUCED = ["answer", "a.png", "--method", "random", "--keep", "3", "--json", "--prompt"] + ["dog ?"]


def test_the_answer_is_alone_on_stdout(vlm, capsys):
    status, out, err = run(capsys, "answer", "a.png", "--prompt", "is there a dog ?")
    assert (status, out) == (0, "yes .\n")
    assert "6 of 6 visual tokens" in err
    assert vlm.asked == (["a.png"], "is there a dog ?", None, 64)


def test_json_holds_the_whole_run(vlm, capsys):
    status, out, _ = run(capsys, *REDUCED)
    record = json.loads(out)
    assert status == 0
    assert out.count("\n") == 1
    assert record["answer"] == "yes ."
    assert record["tokens"][1] == {"id": 8, "text": ".", "probability": 0.5}
    assert record["visual_tokens"] == {
        "total": 6, "left": 3, "kept": 2, "merged": 2, "pruned": 2,
    }  # fmt: skip
    assert record["seconds"]["decide"] is None
    assert record["kv_bytes"] == 1000
    assert [f["fate"] for f in record["fates"]] == ["kept"] * 2 + ["merged"] * 2 + ["pruned"] * 2
    assert record["fates"][3] == {
        "fate": "merged", "group": 2, "stage": 0, "box": [0.0, 10.0, 10.0, 20.0],
    }  # fmt: skip
    assert record["fates"][5]["group"] is None


def test_the_documented_schema_is_the_printed_one(vlm, capsys):
    _, out, _ = run(capsys, *REDUCED)
    record = json.loads(out)
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs/cli.md").read_text(), re.M)
    assert [key for key, _ in table] == list(record)
    for key, meaning in table:
        value = record[key][0] if isinstance(record[key], list) and record[key] else record[key]
        if isinstance(value, dict):
            assert re.findall(r"`(\w+)`", meaning) == list(value), key


def test_repeats_give_a_verdict_with_its_spread_and_the_formula(vlm, capsys, monkeypatch):
    fast, slow = ({"first_token": [t] * 5, "total": [1.0, 1.2, 0.9, 1, 1]} for t in (0.5, 1.0))
    fast["total"] = [1.1, 1.1, 1, 0.9, 1]
    monkeypatch.setattr(vlm, "time_plans", lambda *asked: [fast, slow], raising=False)
    _, out, err = run(capsys, *REDUCED, "--repeats", "5")
    ratio = json.loads(out)["time_ratio"]
    assert ratio["first_token"]["verdict"] == "faster"
    assert ratio["total"]["verdict"] == "same"
    _, _, err = run(capsys, *(a for a in REDUCED if a != "--json"), "--repeats", "5")
    assert "first token 0.50× full (0.50 to 0.50), total ≈ as full" in err
    assert "medians of 5 rounds in turn" in err


def test_method_budget_and_options_reach_the_plan(vlm, capsys):
    run(
        capsys, "answer", "a.png", "--prompt", "dog ?", "--method", "visionzip", "--keep", "5",
        "--option", "contextual=0.5", "--option", "cls_token=true", "--option", "layer=-3",
        "--positions", "keep", "--max-new-tokens", "9",
    )  # fmt: skip
    _, _, plan, limit = vlm.asked
    step = plan.steps[0]
    entry = tokviz.METHODS["visionzip"]
    options = entry.check_options(step.options)
    assert (step.method, step.keep, step.positions, limit) == ("visionzip", 5, "keep", 9)
    assert (options["contextual"], options["cls_token"], options["layer"]) == (0.5, True, -3)


def test_false_means_false():
    """bool("false") is True in Python; the text must be read, not cast."""
    fake = FakeVLM()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokviz, "load", lambda name: fake, raising=False)
        main(["answer", "a.png", "--prompt", "x", "--method", "visionzip", "--keep", "5",
              "--option", "cls_token=false"])  # fmt: skip
    assert fake.asked[2].steps[0].options["cls_token"] is False


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--keep", "3"], "need --method"),
        (["--option", "seed=1"], "need --method"),
        (["--method", "random"], "needs --keep"),
        (
            ["--method", "random", "--keep", "many"],
            "--keep must be a count such as 64 or a share such as 25%, got 'many'",
        ),
        (["--method", "random", "--keep", "3", "--option", "seed"], "must be NAME=VALUE"),
        (["--method", "random", "--keep", "3", "--option", "sed=1"], "no option 'sed'"),
        (
            ["--method", "random", "--keep", "3", "--option", "seed=x"],
            "seed must be a whole number",
        ),
        (["--method", "visionzip", "--keep", "3", "--option", "cls_token=si"], "true or false"),
        (["--method", "visionzip", "--keep", "3", "--option", "variant=pdf"], "must be one of"),
        (["--method", "nonsense", "--keep", "3"], "no method 'nonsense'"),
        (["--max-new-tokens", "2.5"], "whole number"),
        (["--repeats", "5"], "give --method or --mitigation"),
        (["--method", "random", "--keep", "3", "--repeats", "2"], "at least 4"),
        (["--trace", "no/such/folder/run.safetensors"], "cannot be written"),
    ],
)
def test_bad_input_is_one_sentence_on_stderr_and_status_2(vlm, capsys, arguments, says):
    status, out, err = run(capsys, "answer", "a.png", "--prompt", "dog ?", *arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_an_error_of_the_engine_is_shown_without_a_traceback(vlm, capsys, monkeypatch):
    def refuse(*_, **__):
        raise InputError("there is no file 'a.png'.")

    monkeypatch.setattr(vlm, "answer", refuse)
    status, out, err = run(capsys, "answer", "a.png", "--prompt", "dog ?")
    assert (status, out, err) == (2, "", "tokviz: there is no file 'a.png'.\n")


def test_a_bug_keeps_its_traceback(vlm, monkeypatch):
    monkeypatch.setattr(vlm, "answer", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["answer", "a.png", "--prompt", "dog ?"])


def test_the_saved_trace_opens_again(vlm, capsys, tmp_path):
    file = tmp_path / "run.safetensors"
    run(capsys, "answer", "a.png", "--prompt", "dog ?", "--trace", str(file))
    assert open_trace(file).answer == "yes ."


@pytest.mark.parametrize("which", ["methods", "mitigations", "analyses", "models"])
def test_every_list_has_three_forms(capsys, which):
    plain = run(capsys, which)[1]
    records = json.loads(run(capsys, which, "--json")[1])
    table = run(capsys, which, "--markdown")[1]
    names = [record["name"] for record in records]
    assert names
    assert [line.split()[0] for line in plain.splitlines()] == names
    assert re.findall(r"^\| `([^`]+)`", table, re.M) == names


def test_help_needs_neither_torch_nor_transformers():
    code = (
        "import sys, contextlib\n"
        "from tokviz.cli.main import main\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "sys.exit(bool({'torch', 'transformers', 'gradio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "answer" in done.stdout


def test_a_stand_in_is_called_one_in_every_form():
    rows = catalog.rows("methods")
    unsure = {row["name"] for row in rows if not row["verified"]}
    for text, name in (
        (catalog.plain(rows), r"^(\w+) "),
        (catalog.markdown("methods"), r"^\| `(\w+)`"),
    ):
        marked = [line for line in text.splitlines() if "stand-in, not verified" in line]
        assert {re.search(name, line)[1] for line in marked} == unsure


def test_a_mitigation_goes_alone_or_beside_a_method(vlm, capsys):
    ask = ("answer", "a.png", "--prompt", "dog ?", "--mitigation", "pai")
    assert run(capsys, *ask, "--mitigation-option", "alpha=0.5")[0] == 0
    used = vlm.asked[2].mitigation
    assert used.entry.check_options(used.options)["alpha"] == 0.5
    assert vlm.asked[2].steps == ()
    assert run(capsys, *ask, "--method", "random", "--keep", "3")[0] == 0
    assert vlm.asked[2].label == "Random, 3 tokens with PAI"
    status, _, err = run(capsys, *ask[:4], "--mitigation-option", "alpha=1")
    assert (status, err) == (2, "tokviz: --mitigation-option needs --mitigation.\n")


def test_the_record_says_what_was_done_besides_removing_tokens():
    used = MitigationRecord("opera", {}, ("diagnostic",), True, {"anchor": [0, 1]})
    trace = replace(six_token_trace(), mitigation=used, timings={"contrast": 0.25})
    assert json.loads(json.dumps(answer_record(trace)))["mitigation"] == {
        "name": "opera", "options": {}, "kinds": ["diagnostic"], "verified": True,
        "told": {"anchor": [0, 1]}, "second_run_seconds": 0.25,
    }  # fmt: skip
    assert open_trace(trace.to_bytes()).mitigation == used
    assert answer_record(six_token_trace())["mitigation"] is None


@pytest.mark.parametrize("told", [{"x": float("nan")}, {"x": [{}]}, {"x": "a" * 300_000}])
def test_a_trace_with_a_hostile_mitigation_is_refused(told):
    used = MitigationRecord("opera", {}, ("diagnostic",), True, told)
    with pytest.raises(TraceError):
        open_trace(replace(six_token_trace(), mitigation=used).to_bytes())


@pytest.mark.parametrize(
    "command",
    [
        ["answer", "a.png"],
        ["analyse", "a.png", "--analysis", "tam"],
        ["diagnose", "a.png"],
        ["check", "a.png", "--analysis", "tam"],
        ["search", "a.png"],
        ["search", "a.png", "--for", "keep", "--method", "uniform"],
    ],
    ids=lambda command: " ".join(command[:1] + command[2:4]),
)
def test_how_a_model_is_loaded_follows_the_flags(monkeypatch, capsys, command):
    asked = {}

    def load(name, **options):
        asked.update(options, name=name)
        raise InputError("seen")

    monkeypatch.setattr(tokviz, "load", load, raising=False)
    flags = ["--model", "x/y", "--bits", "4", "--device-map", "auto", "--revision", "main"]
    status, _, err = run(capsys, *command, "--prompt", "?", *flags)
    assert (status, err) == (2, "tokviz: seen\n")
    assert asked == {"name": "x/y", "bits": 4, "device_map": "auto", "revision": "main"}


def test_bits_without_the_package_are_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr("tokviz.models.checkpoints.placement.find_spec", lambda name: None)
    status, out, err = run(capsys, "answer", "a.png", "--prompt", "?", "--bits", "4")
    assert (status, out) == (2, "")
    assert "bits=4 needs the package" in err
    assert "pip install" in err
