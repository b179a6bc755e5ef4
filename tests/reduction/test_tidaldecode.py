import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.tidaldecode import attend

LOGITS = torch.tensor([3.0, 1, 0, 2, -1, 0.5])


def test_the_highest_logits_persist():
    r = reduce("tidaldecode", {"llm_attn_last": LOGITS.softmax(0)}, keep=3)
    assert r.kept.tolist() == [0, 1, 3]


def test_later_layers_look_only_at_the_persistent_set():
    row = attend(torch.tensor([1.0, 2, 0, 1, 1, 0]), torch.tensor([0, 1, 3]))
    assert row.tolist() == pytest.approx([0.211942, 0.576117, 0, 0.211942, 0, 0], abs=1e-6)


@pytest.mark.parametrize(("layers", "at"), [(32, [3, 14]), (6, [3]), (2, [1])])
def test_chosen_after_layer_two_and_again_in_the_middle(layers, at):
    assert [s.layer for s in METHODS["tidaldecode"].stages(576, 64, layers)] == at
    assert METHODS["tidaldecode"].effect == "decode"
