import torch

from tokviz.reduction import METHODS, reduce
from tokviz.reduction.dtop import context, decided

SURE = torch.tensor([0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.5])


def test_the_five_surest_of_a_class_stay_as_context():
    one_class = torch.zeros(7, dtype=torch.long)
    assert context(SURE, one_class, 5).tolist() == [True] * 5 + [False] * 2
    assert decided(SURE, one_class).nonzero().flatten().tolist() == [5]


def test_every_class_has_its_own_context():
    label = torch.tensor([0, 1, 0, 1, 0, 1, 1])
    assert context(SURE, label, 1).tolist() == [True, True] + [False] * 5


def test_undecided_tokens_and_context_go_on():
    r = reduce("dtop", {"llm_lens_prob": SURE, "llm_lens_token": [3] * 7}, keep=6)
    assert r.kept.tolist() == [0, 1, 2, 3, 4, 6]
    assert r.roles["decided"].tolist() == [5]


def test_resting_tokens_are_not_removed():
    method = METHODS["dtop"]
    assert (method.removes, method.effect, method.verified) == (False, "bypass", False)
    assert [s.layer for s in method.stages(576, 100, 12)] == [6, 8]
