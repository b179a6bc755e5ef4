"""POPE: its file format, what counts as yes, and the five numbers."""

import json

import pytest

from tokviz.errors import InputError
from tokviz.evaluation import (
    SPLITS,
    Question,
    agreement,
    ask_about,
    read_answers,
    read_questions,
    said_yes,
    score_splits,
    write_answers,
    write_questions,
)

OFFICIAL_LINE = (
    '{"question_id": 1, "image": "COCO_val2014_000000310196.jpg", '
    '"text": "Is there a snowboard in the image?", "label": "yes"}'
)


def test_worked_counts():
    labels = ["yes" if x else "no" for x in (1, 0, 0, 1, 1, 0)]
    answers = ["Yes." if x else "No, there is none." for x in (1, 1, 0, 1, 0, 0)]
    scores = agreement(labels, answers)
    assert (scores.true_yes, scores.false_yes, scores.true_no, scores.false_no) == (2, 1, 2, 1)
    for number in (scores.accuracy, scores.precision, scores.recall, scores.f1):
        assert number == pytest.approx(2 / 3)
    assert scores.yes_ratio == 0.5
    assert scores.as_dict()["f1"] == scores.f1


@pytest.mark.parametrize(
    ("answer", "yes"),
    [
        ("Yes, there is a dog in the image.", True),
        ("No, there is no dog.", False),
        ("There is a cat. There is no dog.", True),
        ("It is not there", False),
        ("no,", False),
        ("NO", True),
        ("No\n", True),
        ("No!", True),
        ("Nothing", True),
        ("", True),
        ("I cannot answer that", True),
    ],
)
def test_the_official_rule_takes_all_but_three_words_for_yes(answer, yes):
    assert said_yes(answer) is yes


def test_the_rule_of_vcd_depends_on_the_truth():
    assert said_yes("I don't know", "vcd", "no") is False
    assert said_yes("I don't know", "vcd", "yes") is False
    assert said_yes("a dog", "vcd", "yes") is False
    assert said_yes("a dog", "vcd", "no") is True
    assert said_yes("YES", "vcd", "yes") is True
    with pytest.raises(InputError, match="needs the label"):
        said_yes("yes", "vcd")


def test_the_first_word_may_be_neither_and_then_is_wrong():
    scores = agreement(["yes", "no", "no"], ["YES!", "maybe", '"No", it says'], "first_word")
    assert (scores.unclear, scores.true_yes, scores.true_no, scores.total) == (1, 1, 1, 3)
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.yes_ratio == pytest.approx(1 / 3)


def test_an_unclear_answer_to_a_thing_that_is_there_costs_recall():
    assert agreement(["yes", "yes"], ["yes", "hm"], "first_word").recall == 0.5


def test_nothing_is_divided_by_zero():
    never = agreement(["no", "yes"], ["no", "no"])
    assert (never.precision, never.recall, never.f1, never.accuracy) == (0, 0, 0, 0.5)
    assert agreement([], []).accuracy == 0


def test_official_files_go_through_unchanged(tmp_path):
    (tmp_path / "coco_pope_random.json").write_text(OFFICIAL_LINE + "\n")
    asked = read_questions(tmp_path / "coco_pope_random.json")
    assert asked[0].label == "yes"
    write_questions(tmp_path / "again.json", asked)
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(OFFICIAL_LINE)
    write_answers(tmp_path / "answers.json", asked, ["Yes\nindeed"])
    line = json.loads((tmp_path / "answers.json").read_text())
    assert line == {"question": asked[0].text, "answer": "Yes\nindeed"}
    assert read_answers(tmp_path / "answers.json") == ["Yes\nindeed"]


def test_the_answer_file_of_vcd_is_read_too(tmp_path):
    (tmp_path / "vcd.jsonl").write_text('{"question_id": 1, "text": "No", "prompt": "?"}\n')
    assert read_answers(tmp_path / "vcd.jsonl") == ["No"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 1 is not JSON"),
        ("[1]", "must be a JSON object"),
        ('{"question_id": 1}', "entry 1 has no 'image'; it has question_id"),
        (OFFICIAL_LINE.replace('"yes"', '"maybe"'), "label must be yes or no, got 'maybe'"),
    ],
)
def test_a_bad_question_file_is_named(tmp_path, line, complaint):
    (tmp_path / "questions.json").write_text(line)
    with pytest.raises(InputError, match=complaint.replace("[", r"\[")):
        read_questions(tmp_path / "questions.json")


def test_unequal_files_and_unknown_rules_are_refused():
    with pytest.raises(InputError, match="1 questions, but 2 answers"):
        agreement(["yes"], ["yes", "no"])
    with pytest.raises(InputError, match="rule must be one of"):
        agreement(["yes"], ["yes"], "mine")
    with pytest.raises(InputError, match="no answers for the split 'random'"):
        score_splits({"random": []}, {})


IMAGES = {
    "a": ["dog", "ball"], "b": ["dog", "ball"], "c": ["dog"], "d": ["cat", "fish"], "e": ["owl"],
}  # fmt: skip


@pytest.mark.parametrize("split", SPLITS)
def test_half_of_the_questions_are_about_absent_things(split):
    asked = ask_about(IMAGES, split, per_image=2)
    assert asked == ask_about(IMAGES, split, per_image=2)
    assert sum(q.label == "yes" for q in asked) * 2 == len(asked) == 16
    assert [q.question_id for q in asked] == list(range(1, 17))
    for q in asked:
        there = any(f" {name} " in q.text for name in IMAGES[q.image])
        assert there == (q.label == "yes")


def absent_of(split, image):
    return [q.text for q in ask_about(IMAGES, split, 1) if (q.image, q.label) == (image, "no")]


def test_popular_and_adversarial_ask_for_what_the_model_expects():
    assert absent_of("popular", "d") == ["Is there a dog in the image?"]
    assert absent_of("adversarial", "c") == ["Is there a ball in the image?"]


def test_the_article_changes_and_no_other_letter():
    asked = ask_about({"x": ["owl"], "y": ["dog"]}, "random", 1)
    assert asked[0] == Question(1, "x", "Is there an owl in the image?", "yes")
    with pytest.raises(InputError, match="split must be one of"):
        ask_about(IMAGES, "hard")
    with pytest.raises(InputError, match="per_image must be 1 or more, got 0"):
        ask_about(IMAGES, "random", 0)
