"""A stand-in is marked as one wherever a run, a lane or a method is named: every name, everywhere.

Each output is made for every registered stand-in, so a new method is looked at by itself. A new
output is found by its source: a bare title of a registered entry stands nowhere.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import tokviz
from components.ask.opening import file_note
from components.board.state import row as board_row
from components.compare.sweep_state import MethodSweep
from components.runs.lane_request import LaneRequest
from tests.view.fakes import fake_trace
from tokviz import catalog
from tokviz.matrix import Reduction
from tokviz.sweeps.summary import what_was_done
from tokviz.trace.stages import MitigationRecord, StageRecord
from tokviz.trace.status import AS_PUBLISHED, STAND_IN
from tokviz.view.case_page import case_page
from tokviz.view.desk import mitigation_outcome
from tokviz.view.overlay import overlay_payload
from tokviz.view.page_file import page_html
from tokviz.view.run_names import run_name
from tokviz.view.walk import caption, walk_frames

ROOT = Path(__file__).parents[2]
METHODS = sorted(name for name, entry in tokviz.METHODS.items() if not entry.verified)
EDITS = sorted(name for name, entry in tokviz.MITIGATIONS.items() if not entry.verified)
CASE = {"prompt": "?", "flags": "", "how_often": "", "words": []}
CASE |= {"forced": [], "found": [], "mitigations": []}
ROW = {"method": "", "options": "", "mitigation": "", "mitigation_options": "", "status": ""}


def made_by(name, **model):
    place = tokviz.METHODS[name].place
    stage = StageRecord(name, place, None, Reduction.select([0, 1], 6))
    trace = fake_trace(stages=(stage,))
    return replace(trace, model={**trace.model, **model})


def edited_by(name):
    record = MitigationRecord(name, {}, ("contrast",), tokviz.MITIGATIONS[name].verified)
    return replace(fake_trace(), mitigation=record)


def spelled(page):
    """A page whose JSON writes letters beyond ASCII as numbers, with the letters."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), page)


OUTPUTS = {
    "run": run_name,
    "viewer": lambda trace: overlay_payload(trace, "run")["stages"][0]["title"],
    "lane of the viewer": lambda t: overlay_payload(t, "r", slim=True)["stages"][0]["title"],
    "saved page": lambda trace: spelled(page_html(overlay_payload(trace, "file"))),
    "case page": lambda trace: case_page(CASE, trace),
    "note on a file": file_note,
    "animation": lambda trace: " ".join(caption(trace, frame) for frame in walk_frames(trace)),
}
"""Output about a run -> its text."""
LISTS = {
    "lane": lambda name: tokviz.plan(name, keep=2).label,
    "keep sweep": lambda name: MethodSweep(LaneRequest(name), 0).title,
    "board": lambda name: board_row(name)["title"],
    "command": lambda name: catalog.plain([catalog.entry("methods", name)]),
    "table": lambda name: catalog.markdown("methods", [catalog.entry("methods", name)]),
    "row": catalog.marked,
    "report": lambda name: what_was_done(ROW | {"method": name}),
}
"""Output about a method -> its text."""


def unmarked(title, text):
    """The places where a title stands without its mark."""
    return re.findall(rf"(?<!\w){re.escape(title)}\w*(?!\w| \(stand-in)", text)


@pytest.mark.parametrize("name", METHODS)
def test_every_output_marks_a_method_that_stands_in(name):
    title = tokviz.METHODS[name].title.lower()
    texts = {output: make(made_by(name)).lower() for output, make in OUTPUTS.items()}
    assert not unmarked(title[:40], texts.pop("animation")), "at most 40 letters have room there"
    assert {output for output, text in texts.items() if unmarked(title, text)} == set()
    assert {output for output, text in texts.items() if title not in text} == set()
    listed = {output: make(name) for output, make in LISTS.items()}
    assert {output for output, text in listed.items() if "(stand-in" not in text} == set()


@pytest.mark.parametrize("name", EDITS)
def test_every_output_marks_a_mitigation_that_stands_in(name):
    title = f"{tokviz.MITIGATIONS[name].title} (stand-in)"
    trace = edited_by(name)
    for make in (run_name, file_note, OUTPUTS["case page"]):
        assert title in make(trace)
    outcome = mitigation_outcome(1, tokviz.MITIGATIONS[name], trace, fake_trace())
    assert outcome["title"] == title
    assert tokviz.plan(mitigation=name).label.endswith(title)
    assert "(stand-in" in what_was_done(ROW | {"mitigation": name})
    assert "(stand-in" in catalog.plain([catalog.entry("mitigations", name)])


def test_a_run_says_itself_whether_its_method_stood_in():
    """CDPruner without CLIP's text side is a stand-in, whatever its declaration says."""

    def told(word):
        return [{"name": tokviz.METHODS["cdpruner"].title, "word": word, "why": []}]

    for make in OUTPUTS.values():
        assert "CDPruner (stand-in)" in make(made_by("cdpruner", status=told(STAND_IN)))
        assert "CDPruner (stand-in)" not in make(made_by("cdpruner", status=told(AS_PUBLISHED)))
    row = ROW | {"method": "cdpruner", "status": "CDPruner: stand-in: text_llm was read."}
    assert what_was_done(row) == "cdpruner (stand-in)"
    assert what_was_done(ROW | {"method": "cdpruner"}) == "cdpruner"


def test_decisions_of_somebody_else_are_no_stand_in_of_ours():
    assert "stand-in" not in run_name(made_by("fopru", imported="FoPru"))


BARE = re.compile(r"(METHODS|MITIGATIONS)\[[^\]]+\]\.title|\b(one|method|mitigation)\.title\b")
ALLOWED = {"method_cards.py", "catalog.py"}
"""Modules whose entries hold the title and, beside it, whether it is verified."""


@pytest.mark.parametrize("folder", ["tokviz", "components", "benchmarks", "scripts", "assets/js"])
def test_no_code_shows_a_bare_title(folder):
    files = [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.js")]
    bare = [
        f"{path.name}: {line.strip()}"
        for path in files
        if path.name not in ALLOWED
        for line in path.read_text("utf-8").splitlines()
        if BARE.search(line)
    ]
    assert bare == []
