import pytest

from tokviz.view.words import compare_words, is_special, token_words, verdict


def test_spaces_come_from_the_tokens_where_they_mark_them():
    words = token_words(["a", " dog", "gy", "."])
    assert [(w["text"], w["lead"]) for w in words] == [
        ("a", False), ("dog", True), ("gy", False), (".", False),
    ]  # fmt: skip


@pytest.mark.parametrize("tokens", [["▁a", "▁dog"], ["Ġa", "Ġdog"]])
def test_tokenizer_marks_become_spaces(tokens):
    assert [w["text"] for w in token_words(tokens)] == ["a", "dog"]


def test_whole_words_get_spaces_but_punctuation_does_not():
    assert [w["lead"] for w in token_words(["a", "dog", ","])] == [False, True, False]


def test_markers_are_told_from_text():
    assert is_special("</s>")
    assert is_special("<|im_end|>")
    assert not is_special("<b> bold </b>")
    assert not is_special("a<b")


def test_changed_words_are_marked_in_reading_order():
    words = compare_words("a cat, here.", "a dog, here.")
    assert [(w["text"], w["mark"]) for w in words] == [
        ("a", "same"), ("dog", "removed"), ("cat", "added"), (",", "same"),
        ("here", "same"), (".", "same"),
    ]  # fmt: skip
    assert verdict(words) == "The answer changed: 1 new, 1 gone."


def test_the_same_answer_is_said_to_be_the_same():
    assert verdict(compare_words("yes", "yes")).startswith("Same")
    assert verdict(compare_words("", "")).startswith("Same")


def test_a_glued_word_is_a_changed_word():
    assert [w["mark"] for w in compare_words("dogs", "dog")] == ["removed", "added"]
