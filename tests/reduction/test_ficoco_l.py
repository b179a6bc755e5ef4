import numpy as np
import pytest

from tokviz.reduction import METHODS, reduce


def logits():
    """Products among three visual tokens (rows 1 to 3) and one text row after them (row 4)."""
    made = np.zeros((5, 5), np.float32)
    made[1, 1:4], made[2, 1:4], made[3, 1:4] = [3, 1, 2], [0, 0, 0], [1, 1, 1]
    made[3, 4], made[4, 2] = 5.0, 1.0
    return made


def given():
    return {"llm_logits_all": logits(), "llm_visual_rows": [1, 2, 3]}


def test_redundant_is_near_the_image_and_far_from_the_text():
    done = reduce("ficoco_l", given(), 2)
    assert np.allclose(-done.score, [0.6 * 6, 0, 0.6 * 3 - 0.4 * 5])
    assert done.roles["redundant"].tolist() == [0]


def test_the_removed_token_is_added_whole_to_the_most_related():
    assert np.allclose(reduce("ficoco_l", given(), 2).matrix(), [[0, 1, 0], [1, 0, 1]])


def test_what_goes_to_a_removed_token_is_lost():
    """Tokens 0 and 1 go: 0 is added to 2, and 1 as well, since ties are settled upwards."""
    maps = logits()
    maps[2, 1] = 4.0  # token 1 is related to token 0, which is removed too
    done = reduce("ficoco_l", {**given(), "llm_logits_all": maps}, 1)
    assert np.allclose(done.matrix(), [[1, 0, 1]])


@pytest.mark.parametrize(("n", "keep", "layers"), [(576, 198, 32), (144, 36, 6)])
def test_the_cut_is_even_over_the_layers(n, keep, layers):
    stages = METHODS["ficoco_l"].stages(n, keep, layers)
    cuts = np.diff([n, *(stage.keep for stage in stages)])
    assert cuts.max() - cuts.min() <= 1
    assert stages[0].layer == (6 if layers == 32 else 1)
    assert stages[-1].layer == layers - 1
