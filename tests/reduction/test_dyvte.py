import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.dyvte import earliest_safe_exit, is_safe

FULL = torch.tensor([[2.0, 1], [0, 3]])
LABELS = torch.tensor([0, 1])


def test_a_rise_of_sixteen_percent_is_not_safe():
    exited = torch.tensor([[1.9, 1], [0.2, 2.7]])
    losses = [torch.nn.functional.cross_entropy(x, LABELS).item() for x in (FULL, exited)]
    assert losses == pytest.approx([0.180924, 0.210022], abs=1e-6)
    assert not is_safe(FULL, exited, LABELS)


def test_the_same_answer_is_safe():
    assert is_safe(FULL, FULL, LABELS)


def test_another_word_is_not_safe_however_likely():
    assert not is_safe(FULL, torch.tensor([[2.0, 2.1], [-9, 3]]), LABELS)


def test_earliest_safe_exit_stops_at_the_first_gap():
    assert earliest_safe_exit(lambda layer: layer in {2, 5, 6, 7}, 8) == 5
    assert earliest_safe_exit(lambda layer: True, 8) == 1
    assert earliest_safe_exit(lambda layer: False, 8) == 8


def test_everything_leaves_at_one_layer():
    assert [s.layer for s in METHODS["dyvte"].stages(576, 1, 32, depth=0.25)] == [8]
    assert reduce("dyvte", {"llm_attn_last": [0.1, 0.2, 0.3]}, keep=1).m == 0
    stays = reduce("dyvte", {"llm_attn_last": [0.1, 0.2, 0.3]}, keep=1, everything=False)
    assert stays.kept.tolist() == [2]
