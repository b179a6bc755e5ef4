"""The table of prefills: one command, and a limit that follows what was left."""

import json
from types import SimpleNamespace

import pytest

from benchmarks import prefills
from scripts import prefill_page
from tokviz.matrix import Reduction
from tokviz.trace.stages import StageRecord

pytestmark = pytest.mark.slow


def stages(*records):
    return SimpleNamespace(
        n=8,
        stages=[StageRecord("m", "language_model", *r) for r in records],
        timings={"prefill": 2},
    )


def test_the_limit_takes_each_layer_at_what_it_had_left():
    """Two of four layers with 8 tokens at 8 s, then 4 at 4 s, then 1 at 1 s."""
    cut = Reduction.select(range(4), 8), Reduction.select(range(1), 4)
    trace = stages((2, cut[0], 0.5, "remove"), (3, cut[1], 0.25, "remove"))
    assert prefills.limit(trace, 4, [1, 8], [1.0, 8.0]) == pytest.approx((8 + 8 + 4 + 1) / 4)


def test_a_first_reading_is_a_decision_and_no_part_of_the_prefill():
    trace = stages((3, Reduction.select(range(2), 8), 1.5, "restart"))
    assert prefills.limit(trace, 4, [1, 8], [1.0, 8.0]) == pytest.approx(2)


@pytest.mark.weekly
def test_one_command_writes_a_row_for_every_method_asked_for(tmp_path, monkeypatch, capsys):
    rows = tmp_path / "rows.jsonl"
    names = ["fastv", "globalcom2", "uniform"]
    arguments = ["m", "--rounds", "1", "--rows", str(rows), "--only", *names]
    monkeypatch.setattr("sys.argv", arguments)
    monkeypatch.setattr(prefills, "LENGTHS", 3)
    prefills.main()
    capsys.readouterr()
    shared, *found = map(json.loads, rows.read_text().splitlines())
    keep = shared["keep"]
    assert keep == shared["n"] // 4
    assert [row["method"] for row in found] == names
    assert found[1]["error"].startswith("GlobalCom² needs an image with a thumbnail")
    assert all(row["of_limit"] > 0 and row["left"] == keep for row in (found[0], found[2]))
    monkeypatch.setattr(prefill_page, "ROWS", rows)
    page = prefill_page.page()
    assert f"| `fastv` | inside the language model | {keep} |" in page
    assert "- `globalcom2`: GlobalCom² needs" in page
