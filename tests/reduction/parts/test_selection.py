import numpy as np
import torch

from tokviz.reduction.parts.selection import best_of, top_k

SCORE = [2.0, 5.0, 2.0, 5.0, 7.0, 2.0]


def test_the_lower_index_wins_a_tie():
    assert top_k(torch.tensor(SCORE), 4).tolist() == [4, 1, 3, 0]
    assert top_k(torch.ones(40), 3).tolist() == [0, 1, 2]


def test_among_some_tokens_the_lower_number_wins_a_tie():
    score, tokens = np.array(SCORE), np.array([0, 2, 3, 5])
    assert best_of(score, tokens, 3).tolist() == [3, 0, 2]
    assert best_of(score, tokens, 9).tolist() == [3, 0, 2, 5]
    assert best_of(score, tokens, -1).tolist() == []
