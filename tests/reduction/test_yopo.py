import numpy as np
import pytest

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.yopo import (
    active_heads,
    cut_channels,
    mask_heads,
    neighbours,
    vision_ratio,
)


def test_neighbours_of_a_window_of_three():
    near = neighbours((3, 3), 3)
    assert np.flatnonzero(near[0]).tolist() == [0, 1, 3, 4]
    assert np.flatnonzero(near[1]).tolist() == [0, 1, 2, 3, 4, 5]
    assert near[4].all()
    assert np.flatnonzero(near[8]).tolist() == [4, 5, 7, 8]
    assert near.sum() == 49  # 45 in a causal mask
    assert (near == near.T).all()


def test_heads_that_ignore_the_image():
    ratio = vision_ratio(np.array([0.12, 0.02]), np.array([0.50, 0.90]), np.array([0.38, 0.08]))
    assert ratio == pytest.approx([0.13636, 0.02041], abs=1e-5)
    assert active_heads(ratio[None], 0.077).tolist() == [True, False]


def test_a_head_is_active_in_more_than_forty_of_a_hundred_prompts():
    ratios = np.zeros((100, 2))
    ratios[:41, 0] = ratios[:40, 1] = 1
    assert active_heads(ratios, 0.5).tolist() == [True, False]


def test_masked_rows_are_not_renormalised():
    attention = np.array([[[0.38, 0.12, 0.50]], [[0.38, 0.12, 0.50]]])
    masked = mask_heads(attention, np.array([1]), np.array([True, False]))
    assert masked[0, 0].tolist() == [0.38, 0.12, 0.50]
    assert masked[1, 0].tolist() == [0.38, 0, 0.50]
    assert attention[1, 0, 1] == 0.12


def test_visual_rows_lose_the_channels_beyond_half():
    inner = np.arange(1.0, 16).reshape(3, 5)
    cut = cut_channels(inner, np.array([1]))
    assert cut.tolist() == [[1, 2, 3, 4, 5], [6, 7, 0, 0, 0], [11, 12, 13, 14, 15]]
    assert inner[1, 4] == 10


def test_the_cut_hides_the_whole_image():
    assert [s.layer for s in METHODS["yopo"].stages(576, 1, 28)] == [24]
    assert reduce("yopo", {"llm_attn_last": [0.5, 0.5]}, keep=1).m == 0
    assert (METHODS["yopo"].removes, METHODS["yopo"].effect) == (False, "mask")
