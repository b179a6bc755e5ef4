"""Fillings on a model: with every token kept they change nothing."""

import numpy as np
import pytest

from tokviz.examine.fillings import FILLINGS
from tokviz.trace.schema import CONTROLS


@pytest.fixture(scope="module")
def runs(vlm, cat):
    trace = vlm.answer(cat, "what is this?", None, 3)
    return vlm.further_runs(cat, "what is this?", trace)


def test_keeping_every_token_scores_the_same_with_every_filling(runs):
    every, none = np.arange(runs.trace.n), np.zeros(0, np.int64)
    scores = {name: runs.filled(name)([every, none]) for name in FILLINGS}
    for found in scores.values():
        assert found[0] == pytest.approx(scores["removal"][0], abs=1e-4)
    assert len({round(found[1], 4) for found in scores.values()}) == len(FILLINGS)


def test_a_blurred_filling_is_the_blurred_picture_where_nothing_is_kept(runs):
    """With no token kept, `blurred` is the control image of the same name."""
    found = runs.filled("blurred")([np.zeros(0, np.int64)])[0]
    probabilities = runs.control_prob()[CONTROLS.index("blurred")]
    assert found == pytest.approx(np.log(probabilities).sum(), abs=1e-3)


def test_another_prompt_gives_its_own_attention_and_score(runs):
    own = runs.general_attention("what is this?")
    np.testing.assert_allclose(own, runs.trace["attention"][0], atol=2e-3)
    assert np.abs(runs.general_attention("Describe it.") - own).max() > 1e-3
    whole = runs.score([np.arange(runs.trace.n)])[0]
    assert runs.reworded("what is this?") == pytest.approx(whole, abs=1e-3)
    assert runs.reworded("what is") != pytest.approx(whole, abs=1e-3)
