import pytest
import torch

from tokviz.reduction import reduce
from tokviz.reduction.corematching import elbow, shared_neurons

FIRED = ["10010", "11000", "11100", "00001", "01000"]
SCORES = [1.0, 2, 3, 0, 1]


def test_shared_neurons_of_the_toy():
    active = torch.tensor([[int(x) for x in row] for row in FIRED])
    query = torch.tensor([1, 1, 1, 0, 0])
    assert shared_neurons(active, query).tolist() == SCORES


def test_elbow_of_the_toy():
    assert elbow(torch.tensor(SCORES)) == 1


@pytest.mark.parametrize(
    ("variant", "keep", "kept"),
    [
        ("code", 4, [1, 2]),
        ("notebook", 4, [0, 1, 2, 4]),
        ("notebook", 3, [0, 1, 2]),
        ("code", 1, [2]),
    ],
)
def test_budget_limits_what_the_elbow_finds(variant, keep, kept):
    r = reduce("corematching", {"llm_shared_neurons": SCORES}, keep, variant=variant)
    assert r.kept.tolist() == kept


def test_the_whole_budget_without_the_elbow():
    r = reduce("corematching", {"llm_shared_neurons": SCORES}, 4, at_elbow=False)
    assert r.kept.tolist() == [0, 1, 2, 4]


def test_a_flat_curve_keeps_the_budget():
    r = reduce("corematching", {"llm_shared_neurons": [5.0, 5, 5, 5]}, 2)
    assert r.kept.tolist() == [0, 1]
