import numpy as np
import pytest
import torch

from tokviz.errors import InputError
from tokviz.reduction import METHODS, reduce
from tokviz.reduction.sparsevlm import chosen_and_recycled, raters, rope_bias, text_score

ATTENTION = [[0.20, 0.10, 0.05], [0.04, 0.08, 0.12], [0.10, 0.10, 0.10]]
SCORE = [0.499522, 0.272682, 0.227796]


def test_raters_are_the_words_above_the_mean():
    visual = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    text = torch.tensor([[2.0, 0], [0, 1], [0.5, 0.5]])
    score = text_score(visual, text)
    np.testing.assert_allclose(score, SCORE, atol=1e-6)
    assert raters(score).tolist() == [True, False, False]


def test_equal_words_all_rate():
    assert raters(torch.full((3,), 1 / 3)).all()


def test_only_raters_score():
    signals = {"llm_attn_text": ATTENTION, "llm_text_score": SCORE, "llm_hidden": np.eye(3)}
    r = reduce("sparsevlm", signals, keep=2, version="2.0")
    assert r.score == pytest.approx([0.20, 0.10, 0.05])
    assert r.kept.tolist() == [0, 1]


def test_published_example_of_recycling():
    # 276 dropped tokens, 83 candidates, 9 merged rows
    assert chosen_and_recycled(576, 309) == (300, 9)


@pytest.mark.parametrize(("n", "keep"), [(576, 1), (576, 17), (20, 19), (20, 2), (2, 1)])
def test_chosen_and_recycled_add_up(n, keep):
    chosen, merged = chosen_and_recycled(n, keep)
    assert chosen + merged == keep
    assert merged >= 1


@pytest.mark.parametrize(
    ("version", "keep", "counts"),
    [("1.5", 113, [309, 204, 113]), ("2.0", 118, [300, 200, 118]), ("2.0", 20, [66, 34, 20])],
)
def test_published_schedules(version, keep, counts):
    stages = METHODS["sparsevlm"].stages(576, keep, 32, version=version)
    assert [s.layer for s in stages] == [3, 7, 16]
    assert [s.keep for s in stages] == counts


def toy_b():
    """Five recycled candidates behind two chosen tokens and ten that are dropped for good."""
    candidates = [[0, 0], [0, 0.2], [4, 4], [4, 4.2], [8, 0]]
    hidden = [[50.0, 50], [60, 60], *candidates, *[[90 + i, 0] for i in range(8)]]
    attention = [[0.9, 0.8, 0.5, 0.4, 0.3, 0.2, 0.1, *[0.01] * 8]]
    return {"llm_attn_text": attention, "llm_text_score": [1.0], "llm_hidden": hidden}


def test_recycled_rows_are_plain_means_behind_the_chosen():
    r = reduce("sparsevlm", toy_b(), keep=4)  # 15 tokens: 3 chosen, 12 dropped, 4 candidates
    assert r.order.tolist() == [0, 1, 2]
    assert r.roles["recycled"].tolist() == [3, 4, 5, 6]
    hidden = np.array(toy_b()["llm_hidden"], np.float32)
    np.testing.assert_allclose(r.apply(hidden)[3], hidden[3:7].mean(0), rtol=1e-6)
    assert r.position[3] in (3, 4, 5, 6)


def test_version_one_chooses_as_many_as_the_rank():
    attention = [[0.2, 0.1, 0.1, 0.0], [0.1, 0.05, 0.05, 0.0], [0.0, 0.0, 0.1, 0.1]]
    signals = {
        "llm_attn_text": attention,
        "llm_text_score": [1 / 3, 1 / 3, 1 / 3],
        "llm_hidden": np.eye(4),
    }
    r = reduce("sparsevlm", signals, keep=3, version="1.0")
    assert len(r.order) == 2  # the rank of the attention


def test_version_two_averages_the_heads_that_look_at_the_image():
    looks, looks_away = [[0.1, 0.5, 0.3]], [[0.3, 0.0, 0.0]]
    signals = {
        "llm_attn_text": [looks, looks_away],
        "llm_text_score": [1.0],
        "llm_hidden": np.eye(3),
    }
    r = reduce("sparsevlm", signals, keep=1, version="2.0", heads=1)
    assert r.score == pytest.approx([0.1, 0.5, 0.3])
    assert "not given" in r.notes[0]


def test_version_two_divides_by_the_bias_of_rotary_positions():
    signals = {
        "llm_attn_text": [[[0.2, 0.3]]],
        "llm_text_score": [1.0],
        "llm_hidden": np.eye(2),
        "llm_rope_bias": [[1.0, 3.0]],
    }
    r = reduce("sparsevlm", signals, keep=1, version="2.0")
    assert r.score == pytest.approx([0.2, 0.1])


def test_bias_depends_on_the_distance_only():
    angle = torch.arange(6.0)[:, None] * torch.tensor([1.0, 0.1]).repeat(2)
    bias = rope_bias(angle.cos(), angle.sin(), torch.tensor([4, 5]), torch.tensor([2, 3]))
    assert bias[0, 0] == pytest.approx(float(bias[1, 1]), rel=1e-5)
    same = rope_bias(angle.cos(), angle.sin(), torch.tensor([3]), torch.tensor([3]))
    assert float(same) == pytest.approx(4 / 2)


def test_text_rows_must_agree():
    signals = {"llm_attn_text": ATTENTION, "llm_text_score": [1.0], "llm_hidden": np.eye(3)}
    with pytest.raises(InputError, match="llm_text_score is for 1 text rows"):
        reduce("sparsevlm", signals, keep=2)


def test_version_two_chooses_its_heads_after_the_bias_is_divided_out():
    """As the official code does: the head that looks strongest may owe it to positions alone."""
    attention = [[[0.40, 0.10, 0.10]], [[0.05, 0.10, 0.30]]]
    signals = {"llm_attn_text": attention, "llm_text_score": [1.0], "llm_hidden": np.eye(3)}
    bias = {"llm_rope_bias": [[8.0, 1.0, 1.0]]}
    assert reduce("sparsevlm", signals, 1, version="2.0", heads=1).kept.tolist() == [0]
    assert reduce("sparsevlm", signals | bias, 1, version="2.0", heads=1).kept.tolist() == [2]
