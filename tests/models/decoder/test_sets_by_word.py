"""TidalDecode: each word of the answer chooses the tokens that later layers attend to."""

import numpy as np
import pytest

import tokviz
from tokviz.errors import MissingSignal

PROMPT, KEEP, NEW = "what is this?", 9, 5


@pytest.fixture(scope="module")
def trace(vlm, cat):
    return vlm.answer(cat, PROMPT, tokviz.plan("tidaldecode", keep=KEEP), NEW)


def test_each_word_chooses_what_its_own_row_attends_to_most(trace):
    first = trace.stages[0].layer
    sets, attention = trace["decode_sets"], trace["attention"].astype(np.float32)
    assert sets.shape == (trace.t, trace.n)
    assert (sets[0] == 1).all()
    for word in range(1, trace.t):
        assert sets[word].sum() == KEEP
        chosen = np.flatnonzero(sets[word])
        others = np.delete(attention[word, first - 1], chosen)
        assert attention[word, first - 1][chosen].min() >= others.max() - 1e-3
        assert attention[word, first][np.setdiff1d(np.arange(trace.n), chosen)].max() == 0
    assert (sets[1] != sets[2]).any() or (sets[2] != sets[3]).any()


def test_one_set_for_the_whole_answer_has_no_sets_by_word(vlm, cat, trace):
    plan = tokviz.plan("tidaldecode", keep=KEEP, anew=False)
    once = vlm.answer(cat, PROMPT, plan, NEW)
    assert "decode_sets" not in once
    assert once["answer_prob"][0] == trace["answer_prob"][0]
    with pytest.raises(MissingSignal, match="tidaldecode"):
        tokviz.analyse("decode_sets", once)


def test_the_analysis_says_how_much_of_a_set_stays(trace):
    result = tokviz.analyse("decode_sets", trace)
    assert result["size"].values[1:].tolist() == [KEEP] * (trace.t - 1)
    assert np.isnan(result["overlap"].values[0])
    assert (result["overlap"].values[1:] <= 1).all()
