"""A sweep measures every row once: shared, stopped, killed, out of disk, and gone on with."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tokviz.errors import InputError, ModelError
from tokviz.examine.faithfulness import check_map
from tokviz.models.runs.extra_forwards import ExtraForwards
from tokviz.models.vlm import VLM
from tokviz.reduction import METHODS
from tokviz.sweeps import row_store, running
from tokviz.sweeps.row_store import Store, read_result
from tokviz.sweeps.rows import COLUMNS, MEASURED
from tokviz.sweeps.running import sweep
from tokviz.sweeps.worker import Worker

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "methods": ["fastervlm", "fastv"],
    "budgets": [9, "50%"],
    "max_new_tokens": 4,
    "baselines": False,
}


@pytest.fixture
def ask(pictures, folder, tmp_path, loaded):
    """Sweep the table about two pictures with the tiny model."""

    def run(**more):
        given = {"models": [str(folder)], "out": tmp_path / "out", **SETTINGS, **more}
        return sweep(pictures / "questions.csv", **given)

    return run


def facts(rows):
    """Rows without what depends on the moment."""
    kept = [name for name in COLUMNS if name not in (*MEASURED, "kl", "total_variation")]
    return [{name: row[name] for name in kept} for row in rows]


def test_every_question_is_answered_with_every_setting(ask, pictures, folder, tmp_path):
    result = ask()
    assert len(result.rows) == result.measured == 3 * 5
    assert not result.failed
    assert read_result(tmp_path / "out/rows.parquet") == list(result.rows)
    full = [row for row in result.rows if not row["method"]]
    assert all((r["same"], r["kl"], r["tokens_left"]) == (True, 0, 36) for r in full)
    half = [row for row in result.rows if row["budget"] == "50%"]
    assert {(row["keep"], row["tokens_left"]) for row in half} == {(18, 18)}
    assert all(row["kv_bytes"] < full[0]["kv_bytes"] for row in half)
    assert all(row["kl"] >= 0 and 0 <= row["total_variation"] <= 1 for row in result.rows)
    assert {row["kind"] for row in result.rows if row["score"] is not None} == {"exact", "yes_no"}


def test_a_smaller_picture_and_no_picture_stand_beside_methods_unless_left_out(ask):
    """As `tokviz sweep` does; a model that has no smaller picture is not at fault."""
    asked = {"methods": "fastervlm", "budgets": 9, "limit": 1}
    beside = ask(**asked, baselines=None)
    named = [(row["method"], row["mitigation"]) for row in beside.rows]
    assert set(named) == {("", ""), ("", "blind"), ("downsample", ""), ("fastervlm", "")}
    assert not beside.failed
    assert len(ask(**asked).rows) == 2
    assert len(ask(methods=(), budgets=(), limit=1, baselines=None).rows) == 1


def test_rows_say_what_the_lab_says(ask, vlm):
    """The short way of a sweep (shared tower, no trace) and VLM.answer must not differ."""
    for row in ask().rows:
        plan = None
        if row["method"]:
            plan = running.Setting(row["method"], row["budget"]).plan(row["visual_tokens"])
        trace = vlm.answer([row["image"]], row["prompt"], plan, 4)
        assert (row["answer"], row["kv_bytes"]) == (trace.answer, trace.kv_bytes)


def test_the_tower_runs_once_per_picture_and_prompts_are_read_once(ask, monkeypatch):
    calls = {"encode": 0, "prepare": 0}
    for name in calls:
        real = getattr(VLM, name)

        def counted(*args, name=name, real=real):
            calls[name] += 1
            return real(*args)

        monkeypatch.setattr(VLM, name, counted)
    ask()
    assert calls == {"encode": 2 + 1, "prepare": 3}  # one more pass to warm up


def test_mitigations_go_with_every_method_and_are_what_the_lab_runs(ask, vlm):
    more = {"mitigations": ["pai", "vcd"], "methods": ["fastervlm"], "budgets": [9], "limit": 1}
    result = ask(**more)
    assert len(result.rows) == 3 * 2
    for row in result.rows:
        setting = running.Setting(row["method"], row["budget"], {}, row["mitigation"])
        trace = vlm.answer([row["image"]], row["prompt"], setting.plan(36), 4)
        assert (row["answer"], row["kv_bytes"], row["error"]) == (trace.answer, trace.kv_bytes, "")
    assert ask(**more).measured == 0
    assert ask(**more, options={"pai": {"alpha": 0.25}}).measured == 2


def test_faithfulness_is_what_the_library_says_about_the_methods_score(ask, vlm):
    rows = ask(methods=["fastervlm", "divprune"], budgets=[9], limit=1, faithfulness=True).rows
    (row,) = [row for row in rows if row["method"] == "fastervlm"]
    full = vlm.answer([row["image"]], row["prompt"], None, 4)
    less = vlm.answer([row["image"]], row["prompt"], running.Setting("fastervlm", "9").plan(36), 4)
    prepared = vlm.prepare([row["image"]], row["prompt"])
    score = ExtraForwards(vlm, prepared, full).score
    found = check_map(score, less.stages[0].reduction.score, full.layout).map
    assert row["gap"] == pytest.approx(found.gap, abs=1e-3)
    assert row["sufficiency"] == pytest.approx(found.sufficiency, abs=1e-3)
    assert all(r["gap"] is None for r in rows if not r["method"])


def test_nothing_is_measured_twice_and_more_can_be_asked_later(ask, monkeypatch):
    first = ask()
    more = ask(budgets=[9, "50%", 4])
    assert more.measured == 3 * 2
    assert facts(first.rows) == [r for r in facts(more.rows) if r["budget"] != "4"]
    monkeypatch.setattr(running, "Worker", None)
    assert ask().measured == 0


def test_a_mistake_in_a_method_costs_its_own_rows_and_is_tried_again(ask, monkeypatch):
    def fails(signals, keep, **options):
        raise ZeroDivisionError("of a plugin")

    entry = METHODS["fastervlm"]
    monkeypatch.setitem(METHODS._entries, "fastervlm", replace(entry, decide=fails))
    result = ask(budgets=[9])
    assert {row["method"] for row in result.failed} == {"fastervlm"}
    assert {row["error"].partition(". ")[0] for row in result.failed} == {
        "the method 'fastervlm' is faulty: it raised ZeroDivisionError (of a plugin)"
    }
    monkeypatch.setitem(METHODS._entries, "fastervlm", entry)
    again = ask(budgets=[9])
    assert (again.measured, again.failed) == (3, [])


def test_a_bad_budget_or_picture_fails_its_own_rows_only(ask, pictures):
    (pictures / "1.png").write_bytes(b"not a picture")
    result = ask(budgets=[9, 99])
    wrong = {(Path(row["image"]).name, row["budget"]) for row in result.failed}
    assert wrong == {("1.png", ""), ("1.png", "9"), ("1.png", "99"), ("0.png", "99")}
    assert "keep must be 1 to 36 visual tokens, got 99." in {r["error"] for r in result.failed}
    assert ask(budgets=[9, 99]).measured == 0


def test_what_failed_for_memory_is_tried_again(ask, monkeypatch):
    real = Worker.answer

    def full(self, *args):
        raise ModelError("out of memory")

    monkeypatch.setattr(Worker, "answer", full)
    assert len(ask().failed) == 15
    monkeypatch.setattr(Worker, "answer", real)
    again = ask()
    assert (again.measured, again.failed) == (15, [])


SCRIPT = """
import sys
from tokviz.sweeps.running import sweep
sweep(sys.argv[1], models=[sys.argv[2]], out=sys.argv[3], methods=["fastervlm", "fastv"],
      budgets=[9, "50%"], max_new_tokens=4, baselines=False)
"""


def start(*arguments):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, arguments)], cwd=ROOT)


def lines_in(out):
    return sum(part.read_bytes().count(b"\n") for part in out.glob("parts/*.jsonl"))


@pytest.mark.slow
def test_a_killed_sweep_goes_on_without_losing_or_repeating_a_row(ask, pictures, folder, tmp_path):
    whole = ask(out=tmp_path / "whole")
    out = tmp_path / "killed"
    process = start(pictures / "questions.csv", folder, out)
    deadline = time.monotonic() + 400
    while not lines_in(out) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = lines_in(out)
    assert 0 < before < 15, "the kill must fall into the middle"
    assert not (out / "rows.parquet").exists()
    again = ask(out=out)
    assert again.measured == 15 - before
    assert facts(again.rows) == facts(whole.rows)
    written = [row["key"] for part in out.glob("parts/*") for row in row_store.whole_rows(part)]
    assert len(written) == len(set(written)) == 15


@pytest.mark.parametrize("missing", [20, 1], ids=["its end", "its line break"])
def test_a_half_line_is_measured_again(ask, tmp_path, missing):
    """A row counts once its line break is on the disk, which is written last."""
    ask()
    (part,) = (tmp_path / "out/parts").glob("*.jsonl")
    part.write_bytes(part.read_bytes()[:-missing])
    assert ask().measured == 1


def test_a_full_disk_is_a_sentence_and_what_was_saved_is_whole(ask, tmp_path, monkeypatch):
    room = [20_000]

    class Small(row_store.RowFile):
        """A file on a disk with room for so many bytes."""

        def __init__(self, file):
            super().__init__(Limited(file))

    class Limited:
        def __init__(self, file):
            self.file, self.name = file, file.name
            self.fileno, self.truncate = file.fileno, file.truncate

        def write(self, data):
            if not room[0]:
                raise OSError(28, "No space left on device")
            count = self.file.write(data[: min(len(data), room[0])])
            room[0] -= count
            return count

    monkeypatch.setattr(row_store, "RowFile", Small)
    room[0] = 9_000
    with pytest.raises(InputError, match="No space left on device. What was saved is whole"):
        ask()
    saved = Store(tmp_path / "out").read()
    assert 0 < len(saved) < 15
    monkeypatch.undo()
    assert ask().measured == 15 - len(saved)


def test_a_full_disk_at_the_end_leaves_the_old_result(ask, tmp_path, monkeypatch):
    first = ask()

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_store.os, "fsync", lambda number: None)
    monkeypatch.setattr(Path, "replace", lambda self, target: full(target))
    with pytest.raises(InputError, match="No space left"):
        ask(budgets=[4])
    assert read_result(tmp_path / "out/rows.parquet") == list(first.rows)
    assert not list((tmp_path / "out").glob("*.part"))


def test_two_sweeps_never_write_in_one_folder(ask, tmp_path):
    with (
        Store(tmp_path / "out").locked(),
        pytest.raises(InputError, match="another sweep is writing"),
    ):
        ask()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"budgets": ["0"]}, "a budget must be a count"),
        ({"budgets": ["120%"]}, "a budget must be a count"),
        ({"budgets": []}, "methods need budgets"),
        ({"methods": ["nothing"]}, "there is no method 'nothing'"),
        ({"options": {"fastv": {"x": 1}}}, "fastv has no option 'x'"),
        ({"options": {"tome": {}}}, "not among the methods"),
        ({"limit": 0}, "limit must be a count of questions from 1 on"),
        ({"lab": "javascript:alert(1)"}, "must begin with http.s."),
        ({"baselines": "no"}, "baselines must be True, False or None"),
    ],
    ids=[
        "zero",
        "over all",
        "no budget",
        "method",
        "option",
        "stray option",
        "limit",
        "lab",
        "baselines",
    ],
)
def test_what_cannot_be_swept_is_said_before_a_model_is_loaded(ask, monkeypatch, more, sentence):
    monkeypatch.setattr(running, "Worker", None)
    with pytest.raises(InputError, match=sentence):
        ask(**more)
