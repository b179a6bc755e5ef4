import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.reduction import reduce

FEATURES = [[1.0, 0], [0.8, 0.6], [0, 1], [-1, 0]]


def test_worked_example():
    reduction = reduce("catp", {"feats_post": FEATURES, "text_llm": [[0.0, 1.0]]}, 2)
    assert list(reduction.order) == [2, 1]
    assert reduction.score[2] == pytest.approx(3.5, abs=1e-3)
    assert reduction.score[2] + reduction.score[1] == pytest.approx(4.66, abs=0.005)


def test_images_share_the_budget_by_size(random_signals):
    signals = {**random_signals(30), "crops": [10, 20]}
    kept = reduce("catp", signals, 9).kept
    assert (kept < 10).sum() == 3
    assert (kept >= 10).sum() == 6


def test_each_image_is_covered_on_its_own(random_signals):
    signals = random_signals(30)
    both = reduce("catp", {**signals, "crops": [10, 20]}, 9).kept
    first = {"feats_post": signals["feats_post"][:10], "text_llm": signals["text_llm"]}
    assert list(both[both < 10]) == list(reduce("catp", first, 3).kept)


def test_text_of_another_width_is_refused():
    with pytest.raises(InputError, match="width 3"):
        reduce("catp", {"feats_post": FEATURES, "text_llm": np.ones((1, 3))}, 2)
