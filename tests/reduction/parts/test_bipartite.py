import pytest
import torch

from tokviz.errors import InputError
from tokviz.reduction.parts.bipartite import best_edges, check_half, cosine


def test_every_even_token_finds_its_most_similar_odd_one():
    edges = best_edges(cosine(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.3]])), 0)
    assert (edges.a.tolist(), edges.b.tolist()) == ([0, 2, 4], [1, 3])
    assert edges.partner.tolist() == [0, 1, 0]


def test_equal_edges_go_to_the_lower_number():
    edges = best_edges(torch.ones(6, 6), 0)
    assert edges.ranked.tolist() == [0, 1, 2]
    assert edges.partner.tolist() == [0, 0, 0]


def test_output_is_the_unmerged_then_all_partners():
    edges = best_edges(cosine(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.3]])), 1)
    merged = torch.zeros(len(edges.a), dtype=torch.bool)
    merged[edges.ranked[:1]] = True
    label = edges.label(merged)
    assert sorted(set(label.tolist())) == list(range(4))
    assert len(edges.a) == 2  # one [CLS] in front: patches 1 and 3 stand at even places


def test_one_token_alone_has_no_edge():
    assert len(best_edges(torch.ones(1, 1), 1).best) == 0


@pytest.mark.parametrize(("n", "keep", "left"), [(5, 3, 2), (6, 3, 3), (4, 4, 0)])
def test_at_most_half_can_go(n, keep, left):
    assert check_half(n, keep, "x") == left
    with pytest.raises(InputError, match=f"keep must be {n - n // 2} to {n} here"):
        check_half(n, n - n // 2 - 1, "x")


def test_likenesses_that_differ_in_the_seventh_place_are_told_apart_and_equal_rows_tie():
    """Rounded to six places, one in a hundred random decisions left the official code's."""
    angles = torch.tensor([0.0, 0.5, 0.5 + 4e-7, 0.5], dtype=torch.float64)
    found = cosine(torch.stack([angles.cos(), angles.sin()], 1))
    assert found[0, 1] > found[0, 2]
    assert found[0, 1] == found[0, 3]
