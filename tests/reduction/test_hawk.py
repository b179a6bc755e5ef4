import numpy as np
import torch

from tokviz.reduction import reduce
from tokviz.reduction.hawk import QWEN


def signals(heads, tokens=3):
    """Head h has a query along its own axis; token i's key fits head i only."""
    queries = torch.zeros(heads, 2, heads)
    queries[torch.arange(heads), :, torch.arange(heads)] = 1
    keys = torch.zeros(heads, tokens, heads)
    for token in range(tokens):
        keys[token, token, token] = 1 + 10 * token
    return {"llm_first_queries": queries, "llm_first_keys": keys}


def test_every_head_counts_the_same_however_large_its_products():
    done = reduce("hawk", signals(4), 1)
    assert np.allclose(done.score, 0.25)
    assert done.kept.tolist() == [0]
    assert "28 heads" in done.notes[0]


def test_published_importance_is_used_for_28_heads():
    done = reduce("hawk", signals(28), 1)
    assert np.allclose(done.score, (QWEN / QWEN.sum())[:3])
    assert done.kept.tolist() == [1]
    assert not done.notes
    assert not reduce("hawk", signals(28), 1, heads="equal").notes


def test_words_are_averaged_before_the_length_is_taken():
    queries = torch.tensor([[[1.0, 0], [-1, 2]]])
    keys = torch.tensor([[[5.0, 0], [0, 1]]])
    assert reduce("hawk", {"llm_first_queries": queries, "llm_first_keys": keys}, 1).kept == [1]
