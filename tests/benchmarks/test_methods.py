"""The measured table: batches answer as the engine does, and rows survive a stop."""

from dataclasses import replace

import pytest
import torch

import tokviz
from benchmarks import methods, policies, questions, rows
from benchmarks.measured_model import facts
from benchmarks.rows import Row, Sample
from scripts import accuracy_page
from tokviz.capture import Capture

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vlm():
    torch.set_num_threads(1)
    return tokviz.load("embedded")


def bench(vlm, count, *names):
    plans = [tokviz.plan(name, 1) for name in names]
    return methods.Bench(vlm, questions.see(vlm, count, 0, plans))


def a_ninth(made):
    """Few of the visual tokens, but more than halving in every layer of the tower leaves."""
    return made.asked[0].prepared.asked.layout.n // 9


@pytest.mark.weekly
@pytest.mark.parametrize(
    "name",
    [
        "prumerge",
        pytest.param("fastervlm", marks=pytest.mark.weekly),
        pytest.param("dymu", marks=pytest.mark.weekly),
    ],
)
def test_both_policies_answer_as_the_engine_does_alone(vlm, name):
    """Plain removal, a method that leaves a different count for each picture, one that unmerges."""
    made = bench(vlm, 4, name)
    found = made.outside(name, a_ninth(made))
    assert list(found) == ["keep", "repack"]
    for policy, answers in found.items():
        chosen = tokviz.plan(name, a_ninth(made), policy)
        alone = [
            vlm.answer([image], text, chosen, made.new_tokens, Capture.nothing()).answer
            for image, text, _ in questions.scene_questions(vlm, 4)
        ]
        assert [one.text for one in answers] == alone


@pytest.mark.parametrize("name", ["fastervlm", "tome", "average_pool", "visionzip"])
def test_one_decision_serves_both_policies(vlm, name):
    """The second policy changes position ids only, and to those that the engine gives."""
    made = bench(vlm, 1, name)
    found = policies.entering(vlm, made.asked, name, a_ninth(made))
    with vlm.guarded():
        engine = policies.enter(vlm, made.asked[0], name, a_ninth(made), "repack")
    assert policies.digest(found["repack"][0]) == policies.digest(engine)
    assert policies.digest(found[policies.policies_of(name)[0]][0]) != policies.digest(engine)


def test_equal_inputs_are_answered_once(vlm, monkeypatch):
    """FasterVLM and LVLM_CSP choose the same tokens, and publish different position ids."""
    made = bench(vlm, 2, "fastervlm", "lvlm_csp")
    first = made.outside("fastervlm", 16)
    monkeypatch.setattr(policies, "answers", lambda vlm, inputs, count: [0] * len(inputs))
    again = made.outside("lvlm_csp", 16)
    assert [one.text for one in again["keep"]] == [one.text for one in first["keep"]]
    assert [one.choice for one in again["keep"]] == [one.choice for one in first["repack"]]


def test_questions_are_one_per_picture_and_kinds_take_turns(vlm):
    answers = [answer for *_, answer in questions.scene_questions(vlm, 10)]
    assert len(answers) == 10
    assert len({text for _, text, _ in questions.easyvqa_questions(5)}) > 1
    assert sum(answer in ("yes", "no") for answer in answers) == 2


def test_a_layer_inside_the_language_model_counts_what_it_computes_with(vlm):
    made = bench(vlm, 1, "fastv")
    layers = vlm.info["layers"]
    n = made.asked[0].prepared.asked.layout.n
    found = made.alone(made.asked[0], tokviz.plan("fastv", keep=36))
    assert (found.left, found.per_layer) == (36, (2 * n + (layers - 2) * 36) / layers)


def test_the_most_useful_budgets_come_first_and_the_oracle_last():
    order = [(name, share) for name, share, _ in methods.wanted(576)]
    shares = list(dict.fromkeys(share for _, share in order))
    assert shares == [100, 0, 25, 11, 50, 5]
    assert order[-4:] == [("relevance", share) for share in methods.SHARES]
    assert {keep for name, share, keep in methods.wanted(576) if share == 11} == {63}


def test_a_second_call_goes_on_where_the_first_stopped(vlm, tmp_path, monkeypatch, capsys):
    file = tmp_path / "rows.jsonl"
    rows.begin(Sample(facts(vlm), 1, 1), file)
    rows.append(Row("uniform", 50, 72, "keep", (1, 2), (2, 2)), file)
    arguments = ["m", "--only", "uniform", "--scenes", "1", "--easyvqa", "1", "--rows", str(file)]
    monkeypatch.setattr("sys.argv", arguments)
    methods.main()
    found = rows.read(file)
    assert [(row.share, row.positions) for row in found] == [
        (50, "keep"),
        *((share, policy) for share in (25, 11, 5) for policy in ("keep", "repack")),
    ]
    assert found[0] == Row("uniform", 50, 72, "keep", (1, 2), (2, 2))
    assert found[1].choice == found[2].choice != found[3].choice
    assert all(len(row.marks) == 2 for row in found[1:])
    capsys.readouterr()


def test_rows_of_another_model_are_refused(vlm, tmp_path):
    file = tmp_path / "rows.jsonl"
    mine = Sample(facts(vlm), 60, 40)
    rows.begin(mine, file)
    rows.begin(mine, file)
    with pytest.raises(SystemExit, match="holds rows of the embedded model .*60 scenes.*20 scenes"):
        rows.begin(replace(mine, scenes=20), file)
    other = replace(mine, model=replace(mine.model, weights="another"))
    with pytest.raises(SystemExit, match="weights `another`"):
        rows.begin(other, file)
    file.write_text('{"method": "uniform"}\n', "utf-8")
    with pytest.raises(SystemExit, match="does not say which model"):
        rows.begin(mine, file)


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_wilson_intervals(right, asked, low, high):
    assert rows.wilson(right, asked) == pytest.approx((low, high), abs=1e-4)


@pytest.fixture
def page(monkeypatch, vlm):
    """The page of some rows."""

    def write(*known):
        full = Row("all tokens", 100, 144, "", (9, 10), (10, 10), 144, 144)
        monkeypatch.setattr(accuracy_page, "read", lambda: [full, *known])
        monkeypatch.setattr(accuracy_page, "sample_of", lambda: Sample(facts(vlm), 10, 10))
        return accuracy_page.page()

    return write


def test_the_page_shows_both_policies_and_what_is_published(page):
    text = page(
        Row("uniform", 25, 36, "repack", (8, 10), (5, 10), 36, 36, 1.5, marks="11", choice="a"),
        Row("uniform", 25, 36, "keep", (10, 10), (5, 10), 36, 36, 1.5, marks="10", choice="a"),
        Row("fastvggt", 25, 36, "repack", error="never merges"),
    )
    whole = "90.0 (60–98) | **90.0 (60–98)** | – | –"
    assert f"| `uniform` | renumbered | {whole} | 100.0 (72–100) | **80.0 (49–94)** | –" in text
    assert "| `uniform` | before the language model | 36.0 | 36.0 | 1.5 ms |" in text
    assert "- `fastvggt` (stand-in) at 25 %: never merges" in text
    assert "| 25 % | 1 | 50.0 | 100.0 | -50.0 (" in text


def test_the_page_says_when_its_rows_are_of_another_model(page, vlm, monkeypatch):
    assert "of an earlier model" not in page()
    other = replace(facts(vlm), weights="0" * 12)
    monkeypatch.setattr(accuracy_page, "sample_of", lambda: Sample(other, 10, 10))
    text = accuracy_page.page()
    assert "**These rows are of an earlier model.**" in text
    assert str(facts(vlm)) in text


def test_methods_that_chose_the_same_share_a_row(page):
    """With both policies measured, FasterVLM and LVLM_CSP differ in what they publish only."""
    pair = [
        Row(name, 25, 36, policy, (right, 10), (5, 10), 36, 36, choice="a")
        for name in ("fastervlm", "lvlm_csp")
        for policy, right in (("keep", 8), ("repack", 7))
    ]
    text = page(*pair, Row("hired", 25, 36, "keep", (9, 10), (5, 10), 36, 36, choice="a"))
    assert (
        "| `fastervlm`, `lvlm_csp` (stand-in), same W as `hired` | renumbered; kept for `lvlm_csp` "
        in text
    )
    assert "| `hired`, same W as `fastervlm`, `lvlm_csp` (stand-in) | renumbered |" in text
