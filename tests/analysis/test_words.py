import pytest

from tokviz.analysis.words import word_spans


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["▁gi", "raf", "fe", "▁eats", "."], ["▁giraffe", "▁eats", "."]),
        ([" straw", "berry", ",", " red"], [" strawberry", ",", " red"]),
        (["Two", " dogs", "</s>"], ["Two", " dogs", "</s>"]),
        (["a", "dog", "."], ["a", "dog", "."]),
        ([" it", "'", "s"], [" it", "'", "s"]),
        (["▁猫", "狗"], ["▁猫", "狗"]),
        ([], []),
    ],
)
def test_tokens_are_grouped_until_a_word_begins(tokens, words):
    spans = word_spans(tokens)
    assert ["".join(tokens[a:b]) for a, b in spans] == words
    assert [i for a, b in spans for i in range(a, b)] == list(range(len(tokens)))
