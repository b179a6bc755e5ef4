"""What analyses rely on in a trace: index arrays stay inside the prompt, word texts survive."""

import numpy as np
import pytest

import tokviz
from tokviz.errors import TraceError


@pytest.mark.parametrize("row", [-1, 11])
def test_rows_outside_the_prompt_are_refused(make_trace, row):
    with pytest.raises(TraceError, match="own_rows points outside the 11 tokens"):
        make_trace(own_rows=np.array([row], np.int32))


def test_word_texts_survive_saving(toy, tmp_path):
    toy.save(tmp_path / "run.safetensors")
    again = tokviz.open_trace(tmp_path / "run.safetensors")
    assert again.words == toy.words
    assert again.words[12] == "▁dog"


def test_guesses_belong_to_own_rows(make_trace):
    with pytest.raises(TraceError, match="own_guess has 2 along 'p'"):
        make_trace(own_guess=np.array([12, 13], np.int32))


def test_as_many_controls_as_there_are_names(make_trace):
    with pytest.raises(TraceError, match="control_prob"):
        make_trace(control_prob=np.ones((3, 2), np.float32))
