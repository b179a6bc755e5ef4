import numpy as np
import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.cmai import focus

TEXT_TEXT = [[1.0, 0], [0.4, 0.6]]
TEXT_IMAGE = [[0.2, 0.1, 0], [0, 0.05, 0.3]]


def test_focus_goes_through_other_words():
    found = focus(torch.tensor(TEXT_TEXT), torch.tensor(TEXT_IMAGE))
    np.testing.assert_allclose(found, [[0.2, 0.1, 0], [0.08, 0.07, 0.18]], atol=1e-6)


def test_tokens_without_focus_are_hidden():
    signals = {"llm_attn_text": TEXT_IMAGE, "llm_attn_text_text": TEXT_TEXT}
    assert reduce("cmai", signals, keep=2).kept.tolist() == [0, 2]
    assert METHODS["cmai"].effect == "mask"
    assert not METHODS["cmai"].verified
