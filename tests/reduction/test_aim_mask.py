import numpy as np
import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.aim_mask import page_rank
from tokviz.reduction.parts.schedules import linear

LOGITS = [
    [[1], [0.2, 0.1], [0.1, 0.3, 0], [0, 0.2, 0.1, 0.1]],
    [[0], [0, 0.2], [0.2, 0, 0.1], [0.3, 0.1, 0, 0]],
]


def attention():
    full = torch.full((2, 4, 4), -torch.inf, dtype=torch.float64)
    for head, rows in enumerate(LOGITS):
        for i, row in enumerate(rows):
            full[head, i, : i + 1] = torch.tensor(row)
    return full.softmax(-1)


def test_page_rank_of_each_head():
    heads = [page_rank(attention()[h : h + 1]).numpy() for h in (0, 1)]
    np.testing.assert_allclose(heads[0], [0.993652, 0.006182, 0.000093, 0.000073], atol=1e-6)
    np.testing.assert_allclose(heads[1], [0.830303, 0.169434, 0.000263, 0.0], atol=1e-6)


def test_heads_are_combined_by_root_mean_square():
    expected = [0.915627, 0.119888, 0.000197, 0.000052]
    np.testing.assert_allclose(page_rank(attention()), expected, atol=1e-6)


def test_masked_keys_get_nothing():
    masked = attention().clone()
    masked[:, :, 1] = 0
    masked[:, 1, 0] = 1
    masked /= masked.sum(-1, keepdim=True)
    assert page_rank(masked)[1] == 0


def test_only_visual_rows_are_ranked():
    r = reduce("aim_mask", {"llm_attn_all": attention(), "llm_visual_rows": [2, 3]}, keep=1)
    assert r.score == pytest.approx([0.000197, 0.000052], abs=1e-6)
    assert r.kept.tolist() == [0]


def test_a_hidden_token_stays_hidden():
    # its own row still sees it, so the walk leaves it a larger share than the rows after it
    maps = attention().clone()
    maps[:, 2:, 1] = 0
    maps[:, 1] = torch.tensor([0.0, 1, 0, 0])
    maps /= maps.sum(-1, keepdim=True)
    assert page_rank(maps)[1] > page_rank(maps)[2]
    r = reduce("aim_mask", {"llm_attn_all": maps, "llm_visual_rows": [1, 2]}, keep=1)
    assert r.kept.tolist() == [1]
    assert r.score[0] == -1


@pytest.mark.parametrize(("share_gone", "left"), [(1 / 8, 10), (4 / 8, 6), (1, 0)])
def test_published_counts_of_the_toy(share_gone, left):
    # 20 rows of which 8 are protected: 18, 14 and 8 in the paper's counting
    assert linear(12, 0, [share_gone, 1])[0] == left


def test_eight_layers_from_the_middle_on():
    stages = METHODS["aim_mask"].stages(576, 1, 28)
    assert [s.layer for s in stages] == list(range(15, 23))
    assert (METHODS["aim_mask"].removes, METHODS["aim_mask"].effect) == (False, "mask")
