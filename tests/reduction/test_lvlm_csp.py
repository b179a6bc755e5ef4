import pytest

from tokviz.errors import InputError
from tokviz.reduction import reduce


def test_worked_example_of_every_so_many(t9):
    assert list(reduce("lvlm_csp", t9, 4, choose="uniform").kept) == [0, 2, 4, 6]


def test_cls_choice_is_fastervlms_and_random_follows_its_seed(t9):
    assert list(reduce("lvlm_csp", t9, 4).kept) == list(reduce("fastervlm", t9, 4).kept)
    picks = [tuple(reduce("lvlm_csp", t9, 4, choose="random", seed=s).kept) for s in (0, 0, 1, 2)]
    assert picks[0] == picks[1]
    assert len(set(picks)) > 1


def test_segments_are_not_offered(t9):
    """Nothing finds the segments: the paper does not say what does."""
    with pytest.raises(InputError, match="choose must be one of cls, uniform, random"):
        reduce("lvlm_csp", t9, 4, choose="segments")
