"""Attention against a general prompt, weighted by values, without sinks, of the best heads."""

import numpy as np
import pytest

import tokviz
from tokviz.analysis.localization_heads import looking, spatial_entropy
from tokviz.errors import InputError


def test_attention_is_divided_by_that_of_a_general_prompt(toy, runs):
    asked = []

    def general(prompt):
        asked.append(prompt)
        base = np.full((4, 6), 0.125)
        base[2, 1] = 0.5
        return base

    result = tokviz.analyse(
        "relative_attention", toy, runs={"general_attention": general}, general="What is it?"
    )
    assert asked == ["What is it?"]
    assert result["layer"].values == 2
    np.testing.assert_allclose(result.values[0], [0, 0.25, 0, 0, 1, 2])


def test_a_general_prompt_of_another_image_is_refused(toy):
    with pytest.raises(InputError, match="general_attention must be"):
        tokviz.analyse(
            "relative_attention", toy, runs={"general_attention": lambda prompt: np.ones((4, 5))}
        )


def test_a_sink_with_a_short_value_falls_back(toy, runs):
    def statistics():
        found = runs["prompt_statistics"]()
        found["value_norm"][:, :, 6] = 0.1  # visual token 5
        return found

    result = tokviz.analyse("attention_values", toy, runs={"prompt_statistics": statistics})
    assert result.values[0].argmax() in (1, 4)
    np.testing.assert_allclose(result["by_layer"].values[0, 1], [0, 0.25, 0, 0, 0.25, 0.025])


def test_without_single_heads_the_mean_is_weighted(make_trace, runs):
    given = {"prompt_statistics": runs["prompt_statistics"]}
    result = tokviz.analyse("attention_values", make_trace(attention_heads=None), runs=given)
    assert "head mean" in result.notes[0]


def test_the_share_of_sinks_goes_to_the_others(toy):
    """Token 5 is a sink in layers 2 and 3: its 0.25 goes to tokens 1 and 4, one half each."""
    result = tokviz.analyse("attention_without_sinks", toy)
    attention = toy["attention"].astype(np.float32)
    np.testing.assert_allclose(result["by_layer"].values.sum(2), attention.sum(2))
    np.testing.assert_allclose(result["by_layer"].values[0, 2], [0, 0.25, 0, 0, 0.25, 0])
    np.testing.assert_allclose(result["by_layer"].values[0, 1], attention[0, 1])
    np.testing.assert_allclose(result["moved"].values[0], [0, 0, 0.25, 0.25])


def test_one_place_has_no_entropy_and_two_have_one_bit(toy):
    """On the 2 x 3 grid tokens 0 and 1 touch, 0 and 2 do not."""
    one, two = np.array([0.5, 0.5, 0, 0, 0, 0]), np.array([0.5, 0, 0.5, 0, 0, 0])
    assert spatial_entropy(one, toy) == 0
    assert spatial_entropy(two, toy) == pytest.approx(np.log(2))
    assert spatial_entropy(np.full(6, 0.125), toy) == np.inf


def test_the_elbow_is_a_head_and_the_code_counts_from_its_number_on():
    total = np.array([0.9, 0.1, 0.1, 0.12, 0.1, 0.8])
    assert looking(total, "paper").tolist() == [True, False, False, True, False, True]
    assert looking(total, "code").tolist() == [False, False, False, True, True, True]


def test_heads_that_look_at_one_place_are_shown(toy):
    result = tokviz.analyse("localization_heads", toy, variant="paper", top=1)
    assert np.flatnonzero(result.values).tolist() == [1, 4]  # they touch: one place
    assert result["heads"].values == 1
    assert "head 0" in result.notes[0]


def test_words_that_matter_and_words_that_do_not(toy, runs):
    result = tokviz.analyse("leave_word_out", toy, runs={"reworded": runs["reworded"]})
    assert result.labels["i"] == ("a", "dog?")
    assert result.values.tolist() == [0, 2]
    assert result.notes == ("Redundant words: a.",)
