import numpy as np
import pytest

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction import reduce
from tokviz.reduction.ppe import position_hypotheses, rotary_sections


def test_worked_example():
    reduction = Reduction.from_groups([[0, 1, 3]], 9)
    found = position_hypotheses(reduction, 4)
    assert list(found[0]) == [3, 1, 0, 3]
    row, col = np.divmod(found[0], 3)
    assert list(row) == [1, 0, 0, 1]
    assert list(col) == [0, 1, 0, 0]
    assert rotary_sections((16, 24, 24), 4) == [4] * 4 + [6] * 4 + [6] * 4


def test_published_sections_and_their_fallback():
    assert rotary_sections((16, 24, 24)) == [2] * 8 + [3] * 8 + [3] * 8
    assert rotary_sections((16, 24, 24), 5) == [1] * 64
    with pytest.raises(InputError):
        rotary_sections((16, 24, 24), 0)


def test_every_token_is_in_one_mean(random_signals):
    reduction = reduce("ppe", random_signals(40), 18)
    assert np.allclose(reduction.matrix().sum(1), 1)
    assert ((reduction.matrix() > 0).sum(0) == 1).all()


def test_clear_clusters_are_found():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [20, 0], [0, 20]])
    features = np.repeat(centres, 6, 0) + rng.standard_normal((18, 2))
    group = reduce("ppe", {"feats_post": features}, 3).group.reshape(3, 6)
    assert (group == group[:, :1]).all()
    assert len(set(group[:, 0])) == 3
