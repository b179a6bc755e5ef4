"""TAM end to end on a real model, beside figures of the official code run on the same logits.

xmed-lab/TAM's function `TAM` was run outside this repository, on the tiny LLaVA and Qwen2-VL of
these tests (seed 0), the cat and this question: its 8-bit maps and ours are equal at every patch.
"""

import numpy as np
import pytest

import tokviz
from tokviz.capture import Capture

OFFICIAL = {"llava": (94, 44, 61, 117), "qwen2_vl": (141, 82, 110, 181)}
"""Largest value of the official 8-bit map of the answer's tokens 1 to 4."""


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_reference_form_gives_the_official_maps(checkpoint, cat, name):
    """It was refused on nearly every run: the word of the first guess was not read out."""
    vlm = tokviz.load(checkpoint(name))
    trace = vlm.answer(cat, "what is this?", None, 5, capture=Capture(lens=5))
    assert trace["own_guess"][0] in trace["readout_ids"]
    maps = tokviz.analyse("tam", trace, reference_compat=True).values
    largest = [int(m.max() * 255) for m in maps[1:5]]
    np.testing.assert_allclose(largest, OFFICIAL[name], atol=1)
