import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.gemfilter import pooled

HEAD_0 = [0.0, 1, 4, 0, 0, 1, 0, 1]
HEAD_1 = [0.0, 1, 2, 0, 0, 3, 0, 1]


def test_neighbours_are_averaged_and_the_edge_counts_as_zero():
    raw = torch.tensor([0.0, 2, 6, 0, 0, 4, 0, 2])
    expected = [0.667, 2.667, 2.667, 2, 1.333, 1.333, 2, 0.667]
    assert pooled(raw, 3).tolist() == pytest.approx(expected, abs=1e-3)


def test_pooling_decides_the_toy():
    signals = {"llm_qk_last": [HEAD_0, HEAD_1]}
    assert reduce("gemfilter", signals, keep=4, kernel=3).kept.tolist() == [1, 2, 3, 6]
    assert reduce("gemfilter", signals, keep=4, kernel=1).kept.tolist() == [1, 2, 5, 7]


def test_the_prompt_is_read_again():
    method = METHODS["gemfilter"]
    assert (method.effect, method.positions) == ("restart", "repack")
    assert [(s.layer, s.keep) for s in method.stages(576, 64, 32)] == [(14, 64)]
