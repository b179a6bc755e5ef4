"""Exact match and multiple choice."""

import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.evaluation import (
    ObjectList,
    accepted_score,
    agreement,
    chair,
    chosen_option,
    exact_match,
    normalise,
    read_lines,
    said_yes,
    same_answer,
    same_option,
    write_lines,
)

OPTIONS = ["a dog", "a cat", "a hot dog", "none of these"]


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("The Red Circle.", "red circle", True),
        ("3.5", "35", False),
        ("-3", "3", False),
        ("1,000", "1,000", True),
        ("top-left", "top left", True),
        ("ÉCOLE!", "école", True),
        ("a", "the", False),
        ("yes", "no", False),
    ],
)
def test_case_articles_and_punctuation_do_not_count(answer, reference, same):
    assert exact_match(answer, reference) is same


def test_one_of_several_references_is_enough():
    assert exact_match("grey", ["gray", "grey"])
    assert normalise("  It's   the  end. ") == "it s end"


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ("B", 1),
        ("b)", 1),
        ("(C) a hot dog", 2),
        ("D.", 3),
        ("The answer is A", 0),
        ("A cat.", 1),
        ("a dog", 0),
        ("I think it is a cat", 1),
        ("a cat or a dog", None),
        ("A dog or so it seems", 0),
        ("E", None),
        ("", None),
    ],
)
def test_an_answer_means_at_most_one_option(answer, chosen):
    assert chosen_option(answer, OPTIONS) == chosen


def test_right_option_by_letter_or_number():
    assert same_option("B: a cat", OPTIONS, "b")
    assert not same_option("B: a cat", OPTIONS, 0)
    with pytest.raises(InputError, match="right option must be one of 4, got 'E'"):
        same_option("B", OPTIONS, "E")
    with pytest.raises(InputError, match="give 2 to 26 options, got 1"):
        chosen_option("A", ["a"])


B_IN_MANY_FORMS = r"""
B | b | B. | b) | (B) | [B] | [[B]] | B, | B! | Option B | option b | Choice B | Letter B
Ans: B | B: dog | B) dog | B - dog | B – dog | B、dog | B。 | Answer - B | Answer: B
Answer:b | answer = b | **B** | **B.** dog | **Answer:** B | **Answer: B** | *B* | __B__ | `B`
'B' | "B" | The answer is 'B'. | ### B | ## B. dog | - B | * B | > B | • B | 1. B | -B
<b>B</b> | {"answer": "B"} | \text{B} | $\boxed{B}$ | \boxed{\text{B}} | \boxed{B. dog}
\boxed{dog} | \(B\) | \textbf{(B)} | <answer>B</answer> | <answer> (B) dog </answer>
<think>A? C.</think><answer>B</answer> | <think>The answer is A.</think> B
Based on the image, B | Based on the image, (B). | Yes, B | Sure! B | I think it's B.
I believe B is correct | I choose B | I'd go with B. | It must be B | Thus B. | -> B
The correct option is B because A is wrong | The answer to the question is B.
The answer is probably B | not A but B | It's not A, it's B. | A is wrong; B is correct
B, not A | B rather than C | A isn't right; B is | neither A nor C, so B | not a cat but a dog
B because A is wrong | A? No, B. | B is right, A is not | Ｂ | （Ｂ） | 𝐁 | Ⓑ | ⒝ | В | Β
Ответ: В | Η απάντηση είναι Β | 答案是B | 答案：B | 选B | B选项 | B是正确的 | 正解はB
정답은 B | Die Antwort ist B. | La respuesta es B
"""
NO_OPTION = r"""
Neither A nor B | neither A nor B is right | A or B | B and C | A/B | either B or C
It's B or C | not B | The answer is not B | B is wrong | B is not correct | can't be B
It is not a dog | I cannot tell | (A) or (B) | none of them | E | A. a cat B. a dog
В центре картины | А это кто | Ответ: Б | 20 °C | U.S.A. | It is vitamin C | - | # | \boxed{}
<answer></answer> | <think>B | The answer is A. The answer is B.
"""


def forms(text):
    return [form.strip() for line in text.strip().splitlines() for form in line.split(" | ")]


@pytest.mark.parametrize("answer", forms(B_IN_MANY_FORMS))
def test_a_letter_in_every_form_that_models_write(answer):
    assert chosen_option(answer, ["cat", "dog", "bird", "fish"]) == 1


@pytest.mark.parametrize("answer", forms(NO_OPTION))
def test_several_letters_denied_letters_and_words_mean_no_option(answer):
    assert chosen_option(answer, ["a cat", "a dog", "a bird", "a fish"]) is None


def test_a_letter_that_is_also_a_word():
    nine = [f"thing number {letter}" for letter in "abcdefghi"]
    chosen = {"I": 8, "The answer is I": 8, "Option A": 0, "not B but A": 0, "\u0410": 0}
    chosen |= {"I think so": None, "A thing": None, "The answer is a thing": None}
    assert {said: chosen_option(said, nine) for said in chosen} == chosen


@pytest.mark.parametrize("answer", [None, 5, b"B", ["B"]])
def test_what_is_no_text_is_refused(answer):
    for judge in (
        lambda: chosen_option(answer, OPTIONS),
        lambda: exact_match(answer, "B"),
        lambda: exact_match("B", ["B", answer]),
        lambda: accepted_score("B", [answer] * 10),
        lambda: same_answer(answer, "B"),
        lambda: said_yes(answer),
        lambda: agreement(["yes"], [answer]),
        lambda: ObjectList.from_lines(["dog"]).mentions(answer),
        lambda: chair([answer], [["dog"]], ObjectList.from_lines(["dog"])),
    ):
        with pytest.raises(InputError, match="must be a text"):
            judge()
    with pytest.raises(InputError, match="options must be"):
        chosen_option("B", ["a", answer])
    assert accepted_score("a", iter(["a"])) == 1.0


@pytest.mark.parametrize("given", [None, 5, b"dog", {"a": 1}, "dog"])
def test_what_is_no_list_or_file_is_refused(given, tmp_path):
    """A text was read letter by letter, and None ended in a TypeError."""
    objects = ObjectList.from_lines(["dog"])
    for use in (
        lambda: ObjectList.from_lines(given),
        lambda: objects.objects(given),
        lambda: chair(given, [["dog"]], objects),
        lambda: agreement(given, ["yes"]),
        lambda: write_lines(tmp_path / "rows.jsonl", given),
    ):
        with pytest.raises(InputError, match="must be"):
            use()
    if not isinstance(given, str):
        with pytest.raises(InputError, match="by its path"):
            read_lines(given)


def test_rows_of_numpy_are_written_and_others_are_refused_by_their_number(tmp_path):
    write_lines(tmp_path / "rows.jsonl", [{"a": np.int64(3), "b": np.arange(2), "c": np.True_}])
    assert read_lines(tmp_path / "rows.jsonl") == [{"a": 3, "b": [0, 1], "c": True}]
    for row in ({"a": {1}}, {(1, 2): 3}, {"a": b"x"}, 5):
        with pytest.raises(InputError, match="row 2 cannot be written"):
            write_lines(tmp_path / "rows.jsonl", [{}, row])
