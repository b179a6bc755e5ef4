from dataclasses import replace

import numpy as np
import pytest

import tokviz
from tests.fakes import six_token_trace
from tests.real_tokenizers import MARKS, REAL
from tokviz.analysis.sink_statistics import GROUPS, groups_of, is_delimiter, value_ratio
from tokviz.errors import InputError


@pytest.fixture
def found(toy, runs):
    return tokviz.analyse(
        "sink_statistics", toy, runs={"prompt_statistics": runs["prompt_statistics"]}
    )


def test_the_rate_is_the_share_of_all_heads_over_the_threshold(found):
    assert found.values[0] == 1
    assert found.values[4] == 2 / 8
    assert found["by_layer"].values[:, 4].tolist() == [0, 0, 0.5, 0.5]
    assert found["ratio"].values[0, 0] == pytest.approx(7)
    assert found["ratio"].values[3, 4] == pytest.approx((0.05 + 0.4) / 2 / 0.1)


def test_another_threshold_gives_another_rate(toy, runs):
    given = {"prompt_statistics": runs["prompt_statistics"]}
    high = tokviz.analyse("sink_statistics", toy, runs=given, threshold=0.5)
    assert high.values[4] == 0
    none = tokviz.analyse("sink_statistics", toy, runs=given, threshold=0.9)
    assert none.notes == ("No row is over the threshold in any head.",)


def test_values_of_sinks_and_massive_states(found):
    assert found["value_ratio"].values[0] == pytest.approx(0.25)
    assert found["massive"].values[1, 0] == 2000
    assert found["dimension"].values[1, 0] == 7
    assert "2,000 times the median, at the input of layer 1" in found.notes[0]


def test_groups_are_shown_apart(found, toy):
    group = groups_of(toy)
    assert group[0] == GROUPS.index("first row")
    assert (group[toy.layout.position[1:]] == GROUPS.index("visual tokens")).all()
    assert found.labels["i"] == GROUPS
    assert found["group_rate"].values[0] == 1
    rates = found.values[group == GROUPS.index("visual tokens")]
    assert found["group_highest"].values[2] == pytest.approx(rates.max())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (".", True), ("<s>", True), ("<|im_end|>", True), ("\n", True), (" ,", True), (" ", True),
        (" dog", False), ("7", False), ("ß", False), ("!?", True), (" 猫", False), ("，", True),
        ("[INST]", True), ("[/INST]", True), ("[gMASK]", True), ("[", True), ("[a b]", False),
    ],
)  # fmt: skip
def test_delimiters_have_no_letters_or_are_in_brackets(text, wanted):
    assert is_delimiter(text) == wanted


@pytest.mark.parametrize("kind", sorted(REAL))
def test_delimiters_are_told_by_what_tokens_spell(kind):
    """Fullwidth commas were words, and bytes of a letter delimiters, as vocabularies write them."""
    tokenizer = REAL[kind]()
    for text, wanted in (("dog", False), ("x猫ΐ", False), (".，", True), (".\n", True)):
        tokens = [token for token in tokenizer.tokenize(text) if token != "▁"]
        prompt = ("<s>", *["<image>"] * 6, *tokens)
        trace = replace(six_token_trace(), prompt_tokens=prompt, word_marks=MARKS[kind])
        found = groups_of(trace)[7:] == GROUPS.index("delimiters")
        assert found.tolist() == [wanted] * len(tokens), text


def test_a_layer_without_sinks_has_no_ratio():
    lengths, by_layer = np.ones((2, 3)), np.array([[1.0, 0, 0], [0, 0, 0]])
    assert value_ratio(lengths, by_layer)[0] == 1
    assert np.isnan(value_ratio(lengths, by_layer)[1])


def test_arrays_of_another_prompt_are_refused(toy, runs):
    other = {**runs["prompt_statistics"](), "received": np.zeros((4, 2, 5))}
    with pytest.raises(InputError, match="received must be"):
        tokviz.analyse("sink_statistics", toy, runs={"prompt_statistics": lambda: other})
