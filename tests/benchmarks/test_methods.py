"""The measured table: batches answer as the engine does, and rows survive a stop."""

import pytest
import torch

import tokviz
from benchmarks import methods, rows
from benchmarks.rows import Row
from scripts import accuracy_page
from tokviz.capture import Capture

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vlm():
    torch.set_num_threads(1)
    return tokviz.load("embedded")


@pytest.mark.parametrize("name", ["fastervlm", "prumerge", "tome"])
def test_a_batch_answers_as_the_engine_does_alone(vlm, name):
    """Plain removal, a method that leaves a different count for each picture, one in the tower."""
    chosen = tokviz.plan(name, keep=16)
    asked = methods.see(vlm, 4, 0, [chosen])
    said = [one.text for one in methods.outside(vlm, asked, chosen)]
    alone = [
        vlm.answer([image], text, chosen, methods.NEW_TOKENS, Capture.nothing()).answer
        for image, text, _ in methods.scene_questions(4)
    ]
    assert said == alone


def test_questions_are_one_per_picture_and_kinds_take_turns():
    answers = [answer for *_, answer in methods.scene_questions(10)]
    assert len(answers) == 10
    assert len({text for _, text, _ in methods.easyvqa_questions(5)}) > 1
    assert sum(answer in ("yes", "no") for answer in answers) == 2


def test_a_layer_inside_the_language_model_counts_what_it_computes_with(vlm):
    chosen = tokviz.plan("fastv", keep=36)
    asked = methods.see(vlm, 1, 0, [chosen])
    (found,) = methods.inside(vlm, asked, chosen)
    assert (found.left, found.per_layer) == (36, (2 * 144 + 4 * 36) / 6)


def test_a_second_call_goes_on_where_the_first_stopped(tmp_path, monkeypatch, capsys):
    file = tmp_path / "rows.jsonl"
    rows.append(Row("uniform", 50, 72, (1, 2), (2, 2)), file)
    arguments = ["m", "--only", "uniform", "--scenes", "1", "--easyvqa", "1", "--rows", str(file)]
    monkeypatch.setattr("sys.argv", arguments)
    methods.main()
    found = rows.read(file)
    assert [(row.method, row.share) for row in found] == [
        ("uniform", share) for share in (50, 25, 11, 5)
    ]
    assert found[0] == Row("uniform", 50, 72, (1, 2), (2, 2))
    assert [row.keep for row in found] == [72, 36, 16, 7]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_wilson_intervals(right, asked, low, high):
    assert rows.wilson(right, asked) == pytest.approx((low, high), abs=1e-4)


def test_the_page_shows_what_is_in_the_rows(monkeypatch):
    known = [
        Row("all tokens", 100, 144, (9, 10), (10, 10), 144, 144),
        Row("uniform", 25, 36, (8, 10), (5, 10), 36, 36, 1.5),
        Row("fastvggt", 25, 36, error="never merges"),
    ]
    monkeypatch.setattr(accuracy_page, "read", lambda: known)
    page = accuracy_page.page()
    assert "| `uniform` | renumbered | 90.0 (60–98) | – | 80.0 (49–94) | – | – |" in page
    assert "| `uniform` | before the language model | 36.0 | 36.0 | 1.5 ms |" in page
    assert "- `fastvggt` (stand-in) at 25 %: never merges" in page
