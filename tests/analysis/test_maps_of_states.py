"""Similarity to [CLS], similarity to an answer token, logit lens: maps read off stored states."""

import numpy as np
import pytest

import tokviz
from tokviz.errors import InputError


def test_the_lens_names_the_word_at_each_token(toy):
    result = tokviz.analyse("logit_lens", toy)
    assert result.labels["n"] == (".", "▁dog", ".", ".", ".", ".")
    assert result.values[1] == 0.875
    assert tokviz.analyse("logit_lens", toy, layer=0).labels["n"][1] == "."


def test_internal_confidence_is_the_peak_over_tokens_and_layers(toy):
    result = tokviz.analyse("logit_lens", toy)
    dog = result.labels["k"].index("▁dog")
    assert result["confidence"].values[dog] == 0.875
    np.testing.assert_array_equal(np.flatnonzero(result["peak"].values[dog]), [1, 4])
    assert result.labels["k"][2] == "#13"


def test_cls_similarity_is_read_at_the_feature_layer(toy):
    np.testing.assert_array_equal(
        tokviz.analyse("cls_similarity", toy).values, toy["cls_similarity"][1].astype(np.float32)
    )
    with pytest.raises(InputError, match="layer must be 0 to 2"):
        tokviz.analyse("cls_similarity", toy, layer=3)


def test_points_are_sure_undecided_or_out(toy):
    result = tokviz.analyse("similarity_map", toy)
    np.testing.assert_array_equal(result["points"].values[0], [0, 1, -1, 0, -1, 0])
    np.testing.assert_array_equal(result["points"].values[1], 0)


def test_what_all_answer_tokens_share_can_be_taken_away(toy):
    maps = tokviz.analyse("similarity_map", toy, without_shared=True).values
    np.testing.assert_allclose(maps.sum(0), 0, atol=1e-6)
    np.testing.assert_allclose(maps[0], [-0.25, 0.25, -0.125, -0.25, 0.125, -0.25])
