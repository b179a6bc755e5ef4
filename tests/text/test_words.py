import json

import pytest

from tests.fakes import six_token_trace, two_kept_two_merged_two_pruned
from tokviz.errors import TraceError
from tokviz.text.characters import characters, unit_texts
from tokviz.text.token_bytes import guess_marks, spelled
from tokviz.text.words import character_spans, exact_pieces, word_spans
from tokviz.trace import open_trace, trace_io


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["Gir", "affe"], ["Giraffe"]),
        (["1", "9", "9", "0"], ["1990"]),
        (["3", ".", "5"], ["3.5"]),
        (["gi", "raf", "fe", " eats", "."], ["giraffe", " eats", "."]),
        ([" straw", "berry", ",", " red"], [" strawberry", ",", " red"]),
        (["a", " dog", "."], ["a", " dog", "."]),
        (["don", "'", "t", " go"], ["don't", " go"]),
        ([" it", "’s", " the", " dogs", "'", " tail"], [" it’s", " the", " dogs", "'", " tail"]),
        (["猫", "狗", "在草地"], ["猫", "狗", "在草地"]),
        (["ไม่", "มี"], ["ไม่", "มี"]),
        ([" ", "1", "9", " dogs"], [" 19", " dogs"]),
        (["a", "\n", "b"], ["a", "\nb"]),
        (["a", " ", "", "", "🔥", " grill"], ["a", " 🔥", " grill"]),
        (["की", "मत"], ["कीमत"]),
        (["word ", "word"], ["word ", "word"]),
        ([], []),
    ],
)
def test_tokens_are_grouped_until_a_word_begins(pieces, words):
    spans = word_spans(pieces)
    assert ["".join(pieces[a:b]) for a, b in spans] == words
    assert [i for a, b in spans for i in range(a, b)] == list(range(len(pieces)))


@pytest.mark.parametrize(
    ("pieces", "chips"),
    [
        (["a", " ", "", "", "🔥", " b"], ["a", " ", "🔥", " b"]),
        (["👨", "\u200d", "👩", "\u200d", "👧"], ["👨\u200d👩\u200d👧"]),
        (["क", "ी", "म"], ["की", "म"]),
        (["", "", "日", "", "本"], ["日", "本"]),
        (["👍", "🏽", "a"], ["👍🏽", "a"]),
        (["🇩", "🇪", "🇫", "🇷"], ["🇩🇪", "🇫🇷"]),
        (["e", "\u0301", "t"], ["e\u0301", "t"]),
        (["a", ""], ["a"]),
        (["Gir", "affe"], ["Gir", "affe"]),
    ],
)
def test_the_tokens_of_one_character_are_one_chip(pieces, chips):
    spans = character_spans(pieces)
    assert ["".join(pieces[a:b]) for a, b in spans] == chips
    assert [i for a, b in spans for i in range(a, b)] == list(range(len(pieces)))


def test_a_mark_is_a_group_of_its_own():
    assert character_spans(["a", "", "b"], [1]) == [(0, 1), (1, 2), (2, 3)]
    assert word_spans(["a", "", "b"], [1]) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize(
    ("tokens", "answer", "pieces"),
    [
        (["▁Gir", "affe", "▁eats"], "Giraffe eats", ["Gir", "affe", " eats"]),
        (["ĠGir", "affe"], "Giraffe", ["Gir", "affe"]),
        (["gi", "##raffe", "eats"], "giraffe eats", ["gi", "raffe", " eats"]),
        (["two", "dogs", "."], "two dogs.", ["two", " dogs", "."]),
        (["yes ", "no "], "yes no", ["yes", " no"]),
        (["Gir", "affe"], "Giraffe", ["Gir", "affe"]),
    ],
)
def test_stored_tokens_of_any_kind_spell_the_answer(tokens, answer, pieces):
    """Traces of other programs hold tokens as their vocabulary writes them."""
    found = exact_pieces(tokens, answer)
    assert list(found) == pieces
    assert "".join(found) == answer


def test_tokens_that_contradict_the_answer_say_what_they_spell():
    assert "".join(exact_pieces(["<0x9F>", "<0x94>", "<0xA5>"], "x")) == "\\x9f\\x94\\xa5"


def test_an_answer_of_one_word_is_read_with_the_prompt_of_its_trace():
    """One token without a space says nothing; the trace's prompt and header do."""
    assert guess_marks(["Gir", "affe"]) == "word_level"
    assert guess_marks(["▁what", "▁is", "Gir", "affe"]) == "sentencepiece"
    assert exact_pieces(["Gir", "affe"], "?", "sentencepiece") == ("Gir", "affe")
    assert exact_pieces(["two", "dogs", "."], "?", "word_level") == ("two", " dogs", ".")


def test_bytes_are_read_as_the_vocabulary_writes_them():
    assert spelled(["æĹ", "¥", "Ġok"], "byte_level") == ["", "日", " ok"]
    assert spelled(["<0xE6>", "<0x97>", "<0xA5>", "▁ok"], "sentencepiece") == ["", "", "日", " ok"]
    assert spelled(["ð", "a"], "byte_level") == ["", "\\xf0a"]
    assert "\ufffd" not in "".join(spelled(["ï", "¿", "½"], "byte_level"))


def test_characters_and_units_join_to_the_text():
    text = "की 👨\u200d👩\u200d👧 don't 3.5, 一只狗 ไม่ e\u0301 🇩🇪🇫🇷\r\n각"
    assert "".join(characters(text)) == text
    assert unit_texts(text) == [
        "की", "👨\u200d👩\u200d👧", "don't", "3.5", ",", "一", "只", "狗", "ไ", "ม่", "e\u0301",
        "🇩🇪", "🇫🇷", "각",
    ]  # fmt: skip


def changed(**fields):
    header, arrays = trace_io.unpack(six_token_trace(two_kept_two_merged_two_pruned()).to_bytes())
    return trace_io.pack({**json.loads(json.dumps(header)), **fields}, arrays)


@pytest.mark.parametrize(
    ("field", "value"),
    [("finish", "bored"), ("finish", 3), ("word_marks", "x"), ("answer_marks", [99]),
     ("answer_marks", "0"), ("answer_marks", [True]), ("answer_marks", [-1])],
)  # fmt: skip
def test_what_a_header_says_about_words_is_checked(field, value):
    with pytest.raises(TraceError):
        open_trace(changed(**{field: value}))


def test_what_a_header_says_about_words_is_kept():
    trace = open_trace(changed(finish="length", word_marks="sentencepiece", answer_marks=[0]))
    again = open_trace(trace.to_bytes())
    assert (again.finish, again.word_marks, again.answer_marks) == ("length", "sentencepiece", (0,))
    assert again.cut_off
