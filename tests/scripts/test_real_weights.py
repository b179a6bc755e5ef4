"""The page of families shows results on real weights that were sent in, and none that was not."""

import json

from scripts import family_page

SENT = {
    "model": "owner/name", "revision": "v2", "dtype": "bfloat16", "device": "NVIDIA H200",
    "promises": [{"kept": True}, {"kept": False}], "broken": 1, "tokviz": "0.1.0",
    "transformers": "5.0", "date": "2026-11-29", "by": "Ada",
}  # fmt: skip


def test_without_a_result_the_page_says_that_there_is_none():
    assert family_page.REAL.exists() or "No result has been sent in" in family_page.page()


def test_a_result_is_shown_with_who_ran_it_on_what(tmp_path, monkeypatch):
    file = tmp_path / "real_weights.jsonl"
    file.write_text(json.dumps(SENT) + "\n")
    monkeypatch.setattr(family_page, "REAL", file)
    last = family_page.page().splitlines()[-1]
    for said in ("owner/name v2", "bfloat16, NVIDIA H200", "1 of 2", "Ada", "2026-11-29"):
        assert said in last
