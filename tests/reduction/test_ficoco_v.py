"""FiCoCo-V: which patches go, and to which others they are added."""

import numpy as np
import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.ficoco_v import averaged, importance, most_redundant


def test_important_is_near_cls_and_far_from_the_mean_patch():
    from_cls = torch.tensor([3.0, 4.0])
    logits = torch.tensor([[9.0, 9, 9], [9, 0, 6], [9, 4, 4]])  # means of patches: 3 and 4
    score = importance(from_cls, logits, 0.35)
    assert score.tolist() == pytest.approx([(0.35 - 0.65) * 0.6, (0.35 - 0.65) * 0.8])


def test_each_whole_window_has_one_most_redundant_patch():
    # a grid of 3 x 3: only the window of rows 0, 1 and columns 0, 1 is whole
    score = np.array([5, 4, -9, 3, 2, -9, -9, -9, -9], float)
    assert most_redundant(score, np.arange(9), 3, 3).tolist() == [4]
    left = np.array([0, 1, 3])  # patch 4 is gone already
    assert most_redundant(score[left], left, 3, 3).tolist() == [2]


def test_a_patch_that_stays_is_the_weighted_mean_of_itself_and_what_joins_it():
    target = np.array([[0, 2], [-1, 3]])  # patch 1 to 0 and 2; patch 3 to [CLS] and to itself
    share = np.array([[0.75, 0.25], [0.5, 0.5]])
    done = averaged(4, np.array([1, 3]), target, share, torch.zeros(4))
    assert np.allclose(
        done.matrix(), [[1 / 1.75, 0.75 / 1.75, 0, 0], [0, 0.25 / 1.25, 1 / 1.25, 0]]
    )


def test_the_whole_decision_by_hand():
    # one head of width 1: the product of query i and key j is q[i] k[j]
    q, k = (
        torch.tensor([[[1.0], [2], [1], [0.5], [1]]]),
        torch.tensor([[[1.0], [4], [1], [2], [3]]]),
    )
    given = {"q": q, "k": k, "cls_logits": q[:, 0] @ k[0, 1:].T, "grid": [1, 4]}
    done = reduce("ficoco_v", given, 3)
    logits = (q[0] @ k[0].T)[1:]  # [4, 5], [CLS] first
    near = torch.tensor([4.0, 1, 2, 3])
    own = logits[:, 1:].mean(1)
    score = 0.35 * near / near.norm() - 0.65 * own / own.norm()
    gone = int(score.argmin())
    assert sorted(set(range(4)) - set(done.position.tolist())) == [gone]
    # all of a removed patch goes to the patch with the largest product: the first
    weights = done.matrix()
    joined = int(logits[gone, 1:].argmax())
    if joined != gone:
        assert weights[done.position.tolist().index(joined), gone] == pytest.approx(0.5)


def test_the_cut_is_even_over_the_upper_half_of_the_tower():
    stages = METHODS["ficoco_v"].stages(576, 198, 23)  # LLaVA's features come after 23 of 24
    counts = [576, *(stage.keep for stage in stages)]
    assert [stage.layer for stage in stages] == list(range(12, 23))
    assert counts[-1] == 198
    assert {a - b for a, b in zip(counts, counts[1:], strict=False)} == {34, 35}
