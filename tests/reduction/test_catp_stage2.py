import numpy as np
import pytest

from tokviz.reduction import METHODS, reduce

BEFORE = [0.02, 0.10, 0.05, 0.01]
NOW = [0.06, 0.08, 0.05, 0.04]
COSINES = np.array([0.05, 0.10, 0.02, 0.0])


def toy(**more):
    hidden = np.stack([COSINES, np.sqrt(1 - COSINES**2)], 1)
    return {
        "llm_attn_last_before": BEFORE,
        "llm_attn_last": NOW,
        "llm_hidden": hidden,
        "llm_hidden_query": [2.0, 0],
        **more,
    }


def test_rising_attention_and_resemblance_add_up():
    r = reduce("catp_stage2", toy(), keep=2)
    assert r.score == pytest.approx([0.070, 0.060, 0.012, 0.030], abs=1e-6)
    assert r.kept.tolist() == [0, 1]


def test_the_last_row_stands_in_for_the_query_sample():
    signals = toy(llm_hidden_last=[1.0, 0])
    del signals["llm_hidden_query"]
    r = reduce("catp_stage2", signals, keep=2)
    assert r.kept.tolist() == [0, 1]
    assert "last prompt row" in r.notes[0]


def test_query_image_is_ranked_by_the_surviving_examples():
    hidden = [[1.0, 0], [0, 1], [0.1, 1], [1, 0.1]]
    r = reduce("catp_stage2", toy(llm_hidden=hidden, llm_image=[0, 0, 1, 1]), keep=2)
    assert r.roles["query image"].tolist() == [2, 3]
    assert r.kept.tolist() == [0, 3]  # example 0 wins, and 3 resembles it


@pytest.mark.parametrize(("layers", "layer"), [(32, 7), (6, 2), (2, 1)])
def test_one_decision_with_two_layers_before_it(layers, layer):
    assert [(s.layer, s.keep) for s in METHODS["catp_stage2"].stages(9, 4, layers)] == [(layer, 4)]
