import pytest
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.vflowopt_stages import last_token_fidelity


def test_the_towers_map_decides():
    r = reduce("vflowopt_stages", {"llm_tower_map": [0.4, 0.3, 0.2, 0.1]}, keep=2)
    assert r.kept.tolist() == [0, 1]


def test_received_attention_stands_in_and_is_named():
    r = reduce("vflowopt_stages", {"recv_attn": [0.1, 0.2, 0.7]}, keep=1)
    assert r.kept.tolist() == [2]
    assert "receives" in r.notes[0]


def test_two_stages_at_a_third_and_two_thirds():
    stages = METHODS["vflowopt_stages"].stages(1000, 365, 28)
    assert [s.layer for s in stages] == [9, 18]
    assert stages[0].keep == pytest.approx(748.7, abs=3)  # the published 0.7487 and 0.3646
    assert stages[1].keep == 365


def test_fidelity_is_a_cosine():
    full = torch.tensor([1.0, 1, 0])
    assert last_token_fidelity(full, 3 * full) == pytest.approx(1)
    assert last_token_fidelity(full, torch.tensor([1.0, 0, 0])) == pytest.approx(0.5**0.5)
