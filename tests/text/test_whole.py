"""Texts with half a character come out of every writer, spelled, and never as an error."""

import io
import json
import sys
from dataclasses import replace

import pytest

from tests.view.fakes import fake_trace, pruned, stage
from tokviz.cli.output import print_json, write_any_letter
from tokviz.evaluation import read_lines, write_lines
from tokviz.text.whole import json_text, whole_text, whole_texts
from tokviz.trace import open_trace
from tokviz.trace.export import answer_record
from tokviz.view.notebook import frame
from tokviz.view.page_file import save_page
from tokviz.view.walk import walk_gif

HALF = "a \ud83d dog, \udcff"
SPELLED = r"a \ud83d dog, \udcff"


def test_only_half_characters_are_changed():
    assert whole_text(HALF) == SPELLED
    for text in ("", "a dog", "né 🔥 की", "\u2028"):
        assert whole_text(text) is text or whole_text(text) == text
    assert whole_texts({HALF: [(HALF, 1), None]}) == {SPELLED: [(SPELLED, 1), None]}


def test_json_lines_hold_half_a_character_and_give_it_back(tmp_path):
    rows = [{"answer": HALF, "words": [HALF]}, {"answer": "🔥"}]
    write_lines(tmp_path / "a.jsonl", rows)
    assert read_lines(tmp_path / "a.jsonl") == rows
    assert json.loads(json_text(HALF)) == HALF


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252", "gbk"])
def test_a_command_writes_json_and_text_in_any_encoding(monkeypatch, encoding):
    """A terminal in Latin-1 made a command fail on the first emoji, and any on a file's name."""
    raw, value = io.BytesIO(), {"answer": f"né 🔥 狗 {HALF}"}
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    write_any_letter()
    print_json(value)
    print(value["answer"])
    sys.stdout.flush()
    first, second = raw.getvalue().decode(encoding).splitlines()
    assert json.loads(first) == value
    assert "dog" in second


def test_every_file_of_a_run_is_made_and_the_trace_opens_again(tmp_path):
    """A model in a folder whose name is no UTF-8 once made runs that could not be saved."""
    trace = fake_trace(words=(HALF,), prompt=HALF, stages=(stage(pruned(6, 2), HALF),))
    trace = replace(trace, notes=(HALF,), model={**trace.model, "name": HALF})
    assert trace.prompt == trace.notes[0] == trace.model["name"] == SPELLED
    trace.save(tmp_path / "run.safetensors")
    assert open_trace(tmp_path / "run.safetensors").prompt == SPELLED
    save_page(trace, tmp_path / "run.html")
    assert walk_gif(trace)[:3] == b"GIF"
    assert frame(trace).encode()
    assert json_text(answer_record(trace)).encode()
