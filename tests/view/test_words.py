from dataclasses import replace

import pytest

from tests.fakes import six_token_trace
from tests.real_tokenizers import MARKS, REAL
from tokviz.evaluation import same_answer
from tokviz.view.result_view import names_along
from tokviz.view.words import compare_words, token_words, verdict


def shown(pieces, marks=()):
    return [(w["text"], w["lead"]) for w in token_words(pieces, marks) if not w["part"]]


def test_spaces_come_from_what_the_tokens_spell():
    assert shown(["a", " dog", "gy", "."]) == [
        ("a", False), ("dog", True), ("gy", False), (".", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "pieces", [["Gir", "affe"], ["1", "9", "9", "0"], ["No"], ["it", "'", "s"]]
)
def test_an_answer_of_one_word_is_not_torn_apart(pieces):
    """Whether tokens mark spaces was told from each answer: one without any got them everywhere."""
    assert not any(lead for _, lead in shown(pieces))


def test_a_character_of_several_tokens_is_one_chip():
    words = token_words(["a", " ", "", "", "🔥", " 👨", "\u200d", "👩"])
    assert [w["text"] for w in words if not w["part"]] == ["a", " ", "🔥", "👨\u200d👩"]
    assert [w["part"] for w in words] == [False, False, False, True, True, False, True, True]


@pytest.mark.parametrize("place", ["<loc0100>", "<box>", "<|box_start|>", "</s>", "<b>"])
def test_what_only_looks_like_a_mark_is_text(place):
    assert not any(word["special"] for word in token_words([place, " cat"]))


def test_marks_are_those_that_the_trace_names():
    assert [w["special"] for w in token_words(["a", "", " b"], [1])] == [False, True, False]


def test_changed_words_are_marked_in_reading_order():
    words = compare_words("a cat, here.", "a dog, here.")
    assert [(w["text"], w["mark"]) for w in words] == [
        ("a", "same"), ("dog", "removed"), ("cat", "added"), (",", "same"),
        ("here", "same"), (".", "same"),
    ]  # fmt: skip
    assert verdict("a cat, here.", "a dog, here.") == "The answer changed: 1 new, 1 gone."


@pytest.mark.parametrize(
    ("answer", "full", "changed"),
    [
        ("一只狗在草地上", "一只猫在草地上", ["猫", "狗"]),
        ("ไม่มีแมว", "ไม่มีหมา", ["ห", "ม", "า", "แ", "ม", "ว"]),
        ("यह कुत्ता है", "यह बिल्ली है", ["बिल्ली", "कुत्ता"]),
        ("I don't see it", "I do see it", ["do", "don't"]),
        ("👨\u200d👩 ok", "👨\u200d👧 ok", ["👨\u200d👧", "👨\u200d👩"]),
    ],
)
def test_only_what_changed_is_marked_in_any_script(answer, full, changed):
    marked = [w["text"] for w in compare_words(answer, full) if w["mark"] != "same"]
    assert len(marked) <= len(changed)
    assert set(marked) <= set(changed)
    assert any(w["mark"] == "same" for w in compare_words(answer, full))


TEXTS = """
|yes|Yes.|yes, a dog.|Yes, a dog|yes a dog|a dog|the dog|café|CAFE\u0301|icecream|ice cream|don't
|don\u2019t|3.5|35|两只狗。|两 只狗""".replace("\n", "").split("|")


def test_words_are_marked_exactly_when_the_answer_is_not_the_same():
    for answer in TEXTS:
        for full in TEXTS:
            same = same_answer(answer, full)
            marks = {word["mark"] for word in compare_words(answer, full)}
            assert (marks <= {"same"}) == same, (answer, full)
            assert verdict(answer, full).startswith("Same") == same


def test_a_glued_word_is_a_changed_word():
    assert [w["mark"] for w in compare_words("dogs", "dog")] == ["removed", "added"]


@pytest.mark.parametrize("kind", sorted(REAL))
def test_rows_of_the_prompt_are_named_by_what_they_spell(kind):
    """Axes of charts named them as the vocabulary does: "Ġdog", "Îĺ", "<0x90>"."""
    tokens = REAL[kind]().tokenize("a dog ΐ\n")
    trace = six_token_trace()
    prompt = (*trace.prompt_tokens[:7], *tokens)
    trace = replace(trace, prompt_tokens=prompt, word_marks=MARKS[kind])
    named = names_along("s", len(prompt), {}, trace)
    assert named[:2] == ["0 <bos>", "1 <image>"]
    texts = [name.partition(" ")[2] for name in named[7:]]
    assert "".join(dict.fromkeys(texts)) == "adogΐ⏎"
