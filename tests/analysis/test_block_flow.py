import numpy as np
import pytest

import tokviz
from tokviz.analysis.block_flow import block_mass, block_of
from tokviz.errors import TokvizError


def test_worked_block_masses():
    attention = np.zeros((5, 5))
    attention[0, :1], attention[1, :2], attention[2, :3] = 1, 0.5, [0.2, 0.3, 0.5]
    attention[3, :4], attention[4] = [0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.2, 0.3, 0.3]
    block = np.array([0, 1, 1, 2, 3])
    flow = block_mass(attention, block)
    np.testing.assert_allclose(flow[1], [0.35, 0.65, 0, 0, 0])
    np.testing.assert_allclose(flow[2], [0.1, 0.5, 0.4, 0, 0])
    np.testing.assert_allclose(flow[3], [0.1, 0.3, 0.3, 0.3, 0])
    np.testing.assert_allclose(flow[2:4, 1] / 2, [0.25, 0.15])
    np.testing.assert_allclose(flow[:4].sum(1), 1)


def test_blocks_without_rows_are_not_a_number():
    flow = block_mass(np.array([[0.5, 0.5]]), np.array([0, 3]))
    assert np.isnan(flow[1]).all()
    np.testing.assert_array_equal(flow[3], [0.5, 0, 0, 0.5, 0])


def test_rows_before_the_first_image_token_are_before(toy):
    block = block_of(toy.layout, 11)
    np.testing.assert_array_equal(block, [0] + [1] * 6 + [2] * 4)
    marked = block_of(toy.layout, 11, np.array([0, 7]))
    np.testing.assert_array_equal(marked, [4] + [1] * 6 + [4] + [2] * 3)


def test_marks_of_the_prompt_format_have_their_own_row_and_column(make_trace):
    """A trace with marks has five blocks, one without them four."""
    toy = make_trace()
    mass = np.pad(toy["mass"], [(0, 0)] * 3 + [(0, 1)])
    mass[..., 4], mass[..., 2] = mass[..., 2], 0
    more = {"mass": mass, "flow": None, "mark_rows": np.array([7, 8, 9, 10], np.int32)}
    result = tokviz.analyse("block_flow", make_trace(**more))
    assert result.labels["b"] == ("before", "image", "text", "answer", "marks")
    np.testing.assert_allclose(result.values[:, 3, 4], 0.125, atol=1e-3)
    np.testing.assert_allclose(result["intensity"].values[:, 3, 4], 0.125 / 4, atol=1e-3)
    with pytest.raises(TokvizError, match="mass has 4 along 'b'"):
        make_trace(mark_rows=np.array([7], np.int32), flow=None)


def test_the_image_cannot_look_at_text_that_comes_later(toy):
    flow = tokviz.analyse("block_flow", toy).values
    np.testing.assert_array_equal(flow[:, 1, 2:], 0)
    np.testing.assert_allclose(flow.sum(2), 1, atol=1e-3)


def test_the_answers_row_is_its_mean_over_tokens_and_heads(toy):
    result = tokviz.analyse("block_flow", toy)
    np.testing.assert_allclose(result.values[2, 3, 1], (0.5 + 0.5 + 0.25 + 0.5) / 4)
    np.testing.assert_allclose(result["intensity"].values[2, 3, 1], 0.4375 / 6)
    np.testing.assert_allclose(result["heads"].values[2], [0.375, 0.5])


def test_without_recorded_prompt_rows_only_the_answer_is_shown(make_trace):
    result = tokviz.analyse("block_flow", make_trace(flow=None))
    assert np.isnan(result.values[:, :3]).all()
    assert np.isfinite(result.values[:, 3]).all()
    assert result.notes
