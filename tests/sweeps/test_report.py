"""What the rows say: intervals, the Pareto front, flips; and a page that nothing breaks out of."""

import re

import numpy as np
import pytest

from components.runs.stored_examples import StoredExamples
from tests.sweeps.test_running import SETTINGS
from tokviz.sweeps.question import Question
from tokviz.sweeps.rows import COLUMNS
from tokviz.sweeps.running import sweep
from tokviz.sweeps.summary import bootstrap, flipped, points_of, report_of, wilson
from tokviz.view.sweep_charts import Estimate, Point, over_budget, over_time, pareto, staircase
from tokviz.view.sweep_page import of_full, page, table

pytestmark = pytest.mark.slow

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}"


def row(method="", answer="yes", truth="yes", question="q", **more):
    score = None if truth is None else float(answer == truth)
    empty = {name: "" if c.kind == "text" else None for name, c in COLUMNS.items()}
    seconds = {name: 0.1 for name in COLUMNS if name.startswith("seconds")}
    return empty | seconds | {
        "key": f"{question}{method}", "question": question, "image": f"{question}.png",
        "prompt": "a?", "truth": truth or "", "kind": "exact", "model": "m", "method": method,
        "budget": "9" if method else "", "keep": 9, "tokens_left": 9 if method else 36,
        "answer": answer, "score": score, "same": answer == "yes", "kl": 0.0,
        "total_variation": 0.0, "kv_bytes": 100, **more,
    }  # fmt: skip


def point(seconds, value, times=None):
    quality = Estimate(value, value, value)
    times = dict(enumerate(times or [seconds] * 5))
    return Point("m", "x", "9", 9, 5, quality, seconds, seconds, 1, times=times)


def test_wilsons_interval_is_the_published_one():
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
    some, none = wilson(81, 263), wilson(0, 20)
    assert (round(some.low, 4), round(some.high, 4)) == (0.2553, 0.3662)
    assert (none.low, round(none.high, 4)) == (0, 0.1611)


def test_the_bootstrap_is_a_ratio_of_sums():
    found = bootstrap(np.array([1, 3, 0]), np.array([2, 4, 0]))
    assert found.value == pytest.approx(4 / 6)
    assert found.low <= found.value <= found.high


def test_the_front_is_what_nothing_beats():
    fast, good, beaten, tie = point(1, 0.5), point(3, 0.9), point(4, 0.8), point(3, 0.7)
    assert pareto([beaten, good, tie, fast]) == [fast, good, tie], "as slow is not slower"
    assert staircase([fast, good, tie]) == [fast, good]


def test_a_difference_within_the_spread_of_the_times_beats_nobody():
    """The star once said "faster" of whatever median was lower by a microsecond."""
    slow = point(3, 0.8, (3, 3, 3, 3, 3))
    clear, unclear = point(1, 0.8, (1, 1.1, 0.9, 1, 2)), point(2.9, 0.8, (2.9, 2.8, 3.2, 2.9, 2))
    assert pareto([slow, unclear]) == [unclear, slow]
    assert pareto([slow, clear]) == [clear]
    assert of_full(unclear, slow).startswith("≈ as full")
    assert of_full(clear, slow) == "0.33× full (0.30 to 0.67)"
    assert of_full(point(1, 0.8, (1, 1)), slow) == "too few questions"


def test_means_per_setting_and_flips():
    rows = [row(), row("x", "no"), row(question="r", truth="no"), row("x", "no", "no", "r")]
    full, reduced = points_of(rows, "Accuracy")
    assert (full.quality.value, reduced.quality.value, reduced.questions) == (0.5, 0.5, 2)
    pairs = flipped(rows)
    assert [(a["question"], a["score"], b["score"]) for a, b in pairs] == [
        ("q", 1.0, 0.0), ("r", 0.0, 1.0),
    ]  # fmt: skip


def test_the_table_names_position_ids_and_marks_stand_ins():
    done = [("fopru", ""), ("sparsevlm", "version=2.0"), ("aim_mask", ""), ("fastervlm", "")]
    rows = [row(), *(row(name, options=options) for name, options in done)]
    shown = table(points_of(rows, "Accuracy"))
    for name, ids in (
        ("fopru (stand-in)", "renumbered"), ("sparsevlm version=2.0", "kept"),
        ("aim_mask", "kept (nothing is removed)"), ("fastervlm", "renumbered"), ("all tokens", ""),
    ):  # fmt: skip
        assert re.search(rf"<td>{re.escape(name)}( ★)?</td><td>{re.escape(ids)}</td>", shown), name


def test_chair_counts_are_summed_over_descriptions():
    counts = [{"mentions": 4, "hallucinated": 1, "there": 5, "found": 3},
              {"mentions": 0, "hallucinated": 0, "there": 1, "found": 0}]  # fmt: skip
    rows = [row(question=str(i), kind="chair", **c) for i, c in enumerate(counts)]
    (found,) = points_of(rows, "True mentions (1 - CHAIR_i)")
    assert found.quality.value == 0.75
    assert dict(found.details) | {"CHAIR_s": 0.5, "recall": 0.5} == dict(found.details)


def test_nothing_from_outside_is_markup():
    evil = dict.fromkeys(("prompt", "model", "answer", "image", "name", "device", "notes"), EVIL)
    evil |= {"truth": EVIL, "options": EVIL}
    rows = [row(**{**evil, "answer": "yes"}), row("x", **{**evil, "same": False}),
            row("y", error=EVIL, **evil)]  # fmt: skip
    html = page(report_of(rows, EVIL, {}, "javascript:alert(3)//"))
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x") > 4
    drawn = [f.to_json() for f in (over_budget(points_of(rows, "Accuracy"), "n"),
                                   over_time(points_of(rows, "Accuracy"), "n"))]  # fmt: skip
    assert not any("<img" in chart for chart in drawn)


def test_the_page_needs_nothing_else():
    html = page(report_of([row(), row("x", "no")], "t", {}, "http://lab"))
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']https?:", html)
    assert "tokviz answer q.png --prompt" in html


def test_a_flip_leads_back_into_the_lab(pictures, folder, loaded, tmp_path):
    result = sweep(
        pictures / "questions.csv", models=[str(folder)], out=tmp_path / "out", traces=2,
        **{**SETTINGS, "budgets": [1, 2]},
    )  # fmt: skip
    html = (tmp_path / "out/report.html").read_text()
    names = set(re.findall(r"http://127.0.0.1:7860/\?example=([\w-]+)&amp;lane=\d", html))
    assert names, "one visual token of 36 must change an answer of a random model"
    shown = StoredExamples(tmp_path, tmp_path / "out/traces").all
    assert names == set(shown)
    for name, lane in re.findall(r"\?example=([\w-]+)&amp;lane=(\d)", html):
        traces = shown[name].run.traces
        assert traces[int(lane)].answer != traces[-1].answer
    assert {r["answer"] for r in result.rows} >= {t.answer for t in shown[name].run.traces.values()}


def test_questions_can_be_given_as_objects(pictures, folder, loaded, tmp_path):
    asked = [Question((str(pictures / "0.png"),), "list all", "dog, cat", "chair")]
    (found,) = sweep(asked, models=[str(folder)], out=tmp_path / "o", max_new_tokens=2).rows
    assert (found["there"], found["mentions"], found["score"]) == (2, 0, 1.0)
