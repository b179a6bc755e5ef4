import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.reduction.parts.question import tokens_and_text
from tokviz.reduction.signals import Signals

CLIP = {"img_clip": [[3.0, 4.0]], "text_clip": [[0.0, 2.0]]}
LLM = {"feats_post": [[2.0, 0, 0]], "text_llm": [[0.0, 5, 0]]}


def test_clip_is_preferred_and_needs_no_note():
    tokens, text, notes = tokens_and_text(Signals({**CLIP, **LLM}))
    assert np.allclose(tokens, [[3, 4]])
    assert np.allclose(text, [[0, 2]])
    assert notes == ()


@pytest.mark.parametrize("lacking", ["img_clip", "text_clip"])
def test_half_of_clip_is_no_clip(lacking):
    tokens, _, notes = tokens_and_text(Signals({**CLIP, **LLM, lacking: None}))
    assert np.allclose(tokens, [[2, 0, 0]])
    assert "no CLIP text encoder" in notes[0]


def test_widths_must_agree():
    with pytest.raises(InputError, match="text_clip has width 3"):
        tokens_and_text(Signals({**CLIP, "text_clip": [[1.0, 2, 3]]}))
