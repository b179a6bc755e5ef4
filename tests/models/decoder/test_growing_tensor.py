"""Columns are appended without a copy, and never over a column that somebody may read."""

import torch

from tokviz.models.decoder.growing_tensor import ROOM, GrowingTensor


def test_it_holds_what_torch_would_join():
    made, held = GrowingTensor(), torch.rand(2, 3, 5)
    whole = held
    for _ in range(2 * ROOM):
        more = torch.rand(2, 4, 5)
        held, whole = made.append(held, more), torch.cat([whole, more], -2)
        assert torch.equal(held, whole)


def test_memory_is_moved_only_when_it_is_full():
    made, held, places = GrowingTensor(), torch.rand(1, 8, 5), set()
    for _ in range(ROOM + 1):  # the first copy makes room for ROOM more
        held = made.append(held, torch.rand(1, 1, 5))
        places.add(held.data_ptr())
    assert len(places) == 1
    assert made.append(held, torch.rand(1, 1, 5)).data_ptr() not in places


def test_earlier_results_stay_when_columns_are_taken_out():
    made = GrowingTensor()
    longer = made.append(
        made.append(torch.zeros(1, 2, 3), torch.ones(1, 1, 3)), torch.ones(1, 1, 3)
    )
    before = longer.clone()
    shorter = made.append(longer[..., :3, :], torch.full((1, 1, 3), 7.0))
    assert torch.equal(longer, before)
    assert shorter[0, :, 0].tolist() == [0, 0, 1, 7]
