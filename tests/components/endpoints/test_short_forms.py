"""Short forms stay short, whatever the model says and however many methods there are."""

import json

import pytest

from components.endpoints.short_forms import MAX_BYTES, short_answer, short_rows
from tests.view.fakes import fake_trace, pruned, stage
from tokviz import catalog
from tokviz.trace.export import answer_record

STATUS = {"name": "a_method_with_quite_a_long_name", "word": "run as published", "why": ["x" * 999]}


@pytest.mark.parametrize("letter", ["a", "\n", '"', "ß", "語", "😀", "\u202e"])
@pytest.mark.parametrize("details", [{}, {"error": "the method cannot be used. " * 9}])
def test_the_largest_answer_has_under_4_kb(letter, details):
    """An operator may let a model write thousands of tokens; so may notes and reasons be long."""
    record = answer_record(fake_trace(6, 6, stages=(stage(pruned(36, 9)),)))
    record |= {"answer": letter * 20_000, "notes": [letter * 5000] * 20, "status": [STATUS] * 3}
    records = {"full": record, "reduced": details or record}
    short = short_answer(records)
    assert len(json.dumps(short, ensure_ascii=False).encode()) <= MAX_BYTES
    assert short["full"]["answer"].endswith("…")


def test_a_usual_answer_is_whole():
    record = answer_record(fake_trace())
    short = short_answer({"full": record})["full"]
    assert short["answer"] == record["answer"]
    assert short["visual_tokens"]["left"] == record["visual_tokens"]["left"]
    assert set(short) <= set(record)


def test_many_methods_keep_their_names():
    rows = [{"name": f"method_{i}", "place": "language_model"} for i in range(110)]
    short = short_rows(rows)
    assert [row["name"] for row in short] == [row["name"] for row in rows]
    assert len(json.dumps(short)) < 4096
    real = short_rows(catalog.rows("methods"))
    assert all({"name"} <= row.keys() <= {"name", "place", "stand_in"} for row in real)
    assert len(json.dumps(real)) < 4096
    for which in ("methods", "mitigations"):
        marked = {row["name"] for row in short_rows(catalog.rows(which)) if "stand_in" in row}
        assert marked == {row["name"] for row in catalog.rows(which) if not row["verified"]}
