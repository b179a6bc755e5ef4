"""Worked numbers of the method, and an oracle that follows the published procedure word by word."""

import numpy as np
import pytest

import tokviz
from tokviz.analysis.rank_filter import rank_gaussian_filter
from tokviz.analysis.tam import denoise, interference, joint_normalise
from tokviz.errors import MissingSignal
from tokviz.trace.layout import Layout, Tile

FEATURES = np.array([[4, 0], [2, 1], [0, 3], [0, 0]], float)
CONTEXT_WORD, TARGET_WORD = np.array([1.0, 0]), np.array([1.0, 1])


def test_worked_interference():
    maps = np.maximum(FEATURES @ np.stack([CONTEXT_WORD, TARGET_WORD]).T, 0).T
    np.testing.assert_array_equal(maps, [[4, 2, 0, 0], [4, 3, 3, 0]])
    relevance = np.array([[0, 0], [np.array([2, 1]) @ TARGET_WORD, 0]])
    mixture, scale = interference(maps, relevance, np.array([0, 1]))
    assert relevance[1, 0] == 3
    assert scale[1] == pytest.approx(1.1, abs=1e-7)
    left = np.maximum(maps - scale[:, None] * mixture, 0)
    np.testing.assert_allclose(left, [[4, 2, 0, 0], [0, 0.8, 3, 0]], atol=1e-6)


def test_worked_joint_normalisation():
    image, text = joint_normalise(np.array([0.0, 2, 4]), np.array([8.0, 1]))
    np.testing.assert_allclose(image, [0, 0.25, 0.5])
    np.testing.assert_allclose(text, [1, 0.125])


def test_equal_scores_normalise_to_zero_not_to_nan():
    image, text = joint_normalise(np.full(3, 2.0), np.full(1, 2.0))
    np.testing.assert_array_equal(image, 0)
    np.testing.assert_array_equal(text, 0)


def test_a_repeat_of_the_word_is_no_interference():
    maps = np.array([[4.0, 2], [4, 3]])
    mixture, scale = interference(maps, np.array([[0.0, 0], [5, 0]]), np.array([7, 7]))
    np.testing.assert_array_equal(mixture, 0)
    np.testing.assert_array_equal(scale, 0)


def test_the_scale_can_be_limited():
    maps = np.array([[4.0, 2, 0, 0], [4, 3, 3, 0]])
    relevance = np.array([[0.0, 0], [3, 0]])
    assert interference(maps, relevance, np.array([0, 1]), 0.5)[1][1] == 0.5


def test_the_answer_keeps_what_its_prompt_does_not_explain(toy):
    """`yes` reads 4 at the dog and 2 at the ball; the word `dog` explains the 4."""
    result = tokviz.analyse("tam", toy, denoised=False)
    np.testing.assert_allclose(result.values[0], [0, 0, 0, 0, 2 / 3, 0], atol=1e-6)
    assert result["scale"].values[3] == pytest.approx(1)
    assert result["text"].values[3, 1] == 1
    np.testing.assert_allclose(result["entropy"].values[0], 0)
    assert result["area"].values[0] == pytest.approx(1 / 6)
    assert result.labels["e"] == (" a", " dog", "?", "yes", ".")


def test_the_toggle_leaves_interference_in(toy):
    result = tokviz.analyse("tam", toy, denoised=False, without_interference=False)
    np.testing.assert_allclose(result.values[0], [0, 1, 0, 0, 0.5, 0])


def test_the_prompts_own_words_are_explained_too(toy):
    result = tokviz.analyse("tam", toy, denoised=False)
    np.testing.assert_allclose(result["prompt"].values[1], [0, 1, 0, 0, 0, 0])
    assert result.labels["p"] == (" a", " dog", "?")


def test_without_own_words_all_text_after_the_image_is_explained(make_trace):
    result = tokviz.analyse("tam", make_trace(own_rows=None))
    assert result.labels["p"] == (" a", " dog", "?")


def test_the_first_answer_token_is_explained_by_itself_unless_the_reference_is_asked(make_trace):
    """The official code uses the last prompt token: a known slip, kept for comparing."""
    ids = np.array([1, *[2] * 6, 11, 12, 13, 12], np.int32)
    trace = make_trace(prompt_ids=ids)
    ours = tokviz.analyse("tam", trace, without_interference=False, denoised=False)
    theirs = tokviz.analyse(
        "tam", trace, without_interference=False, denoised=False, reference_compat=True
    )
    assert ours.values[0, 4] > 0
    assert theirs.values[0, 4] == 0
    assert theirs.values[0, 1] == 1


def test_the_reference_explains_the_first_prompt_word_by_its_guess(make_trace):
    """The prompt ends in `dog` here, so that the reference's classes are all read out."""
    ids = np.array([1, *[2] * 6, 11, 12, 13, 12], np.int32)
    trace = make_trace(prompt_ids=ids, own_guess=np.array([12, 0, 0], np.int32))
    options = {"without_interference": False, "denoised": False}
    theirs = tokviz.analyse("tam", trace, reference_compat=True, **options)["prompt"].values
    assert theirs[0, 1] == 1
    assert tokviz.analyse("tam", trace, **options)["prompt"].values[0].max() == 0


def test_a_reference_class_that_was_not_read_out_is_named(make_trace):
    with pytest.raises(MissingSignal, match="word 5"):
        tokviz.analyse("tam", make_trace(), reference_compat=True)


def oracle(readout, image_rows, text_rows, ids, prompt, grid):
    """The published procedure, one word at a time."""
    maps, raw = [], []
    for item, word in enumerate(ids):
        scores = np.maximum(readout[:, word], 0)
        image, text = scores[image_rows], scores[text_rows]
        raw.append(image)
        others = [i for i in range(item) if ids[i] != word]
        if others:
            weight = text[others] / (text[others].sum() + 1e-8)
            mixture = sum(w * raw[i] for w, i in zip(weight, others, strict=True))
            scale = (image * mixture).sum() / ((mixture**2).sum() or 1)
            image = np.maximum(image - scale * mixture, 0)
        context = text[: max(item, prompt)]
        both = np.concatenate([image, context])
        both = (both - both.min()) / ((both.max() - both.min()) or 1)
        maps.append(rank_gaussian_filter(both[: len(image)].reshape(grid)).ravel())
    return np.stack(maps)


@pytest.mark.parametrize("seed", range(5))
def test_all_words_at_once_agree_with_one_word_at_a_time(make_trace, seed):
    rng = np.random.default_rng(seed)
    trace = make_trace(readout=rng.normal(size=(12, 5)).astype(np.float32))
    result = tokviz.analyse("tam", trace)
    expected = oracle(
        trace["readout"], np.arange(1, 7), [7, 8, 9, 10, 11], [0, 1, 2, 3, 4], 3, (2, 3)
    )
    np.testing.assert_allclose(result["prompt"].values, expected[:3], atol=1e-6)
    np.testing.assert_allclose(result.values, expected[3:], atol=1e-6)


def test_words_of_several_tokens_take_the_largest_of_their_maps(make_trace):
    trace = make_trace()
    result = tokviz.analyse("tam", trace)
    assert result.labels["v"] == ("yes", ".")
    np.testing.assert_array_equal(result["words"].values, result.values)


def test_each_tile_is_filtered_by_itself_and_newlines_stay_empty():
    """Two 2×2 tiles and a newline: a bright tile must not bleed into the other."""
    layout = Layout(
        sizes=((20, 10),),
        tiles=(Tile(0, 2, 2, (0, 0, 10, 10)), Tile(0, 2, 2, (10, 0, 20, 10))),
        tile=np.array([0] * 4 + [1] * 5, np.int16),
        row=np.array([0, 0, 1, 1, 0, 0, 1, 1, -1], np.int16),
        col=np.array([0, 1, 0, 1, 0, 1, 0, 1, -1], np.int16),
        kind=np.array([0] * 8 + [1], np.uint8),
        position=np.arange(9, dtype=np.int32),
    )
    out = denoise(np.array([[1.0] * 4 + [0.0] * 4 + [9.0]]), layout)
    np.testing.assert_allclose(out, [[1] * 4 + [0] * 5])
