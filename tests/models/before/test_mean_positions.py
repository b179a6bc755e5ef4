from types import SimpleNamespace

import numpy as np
import torch

from tokviz.matrix import Reduction
from tokviz.models.before.mean_positions import with_mean_positions


def test_a_merged_token_has_the_mean_of_its_members_positions_rounded_down():
    """Six tokens at rows 2 to 7 of M-RoPE's axes; means of 5/3, 5/2 and thirds that add up to 6."""
    own = torch.arange(9)[None, None] * torch.tensor([1, 2])[:, None, None]  # [2, 1, rows]
    groups = [[0, 1, 3], [2, 5], [4]]
    plan_steps = SimpleNamespace(
        whole=Reduction.from_groups(groups, 6),
        layout=SimpleNamespace(position=np.arange(2, 8)),
        prepared=SimpleNamespace(positions=own),
    )
    left = own[..., [0, 1, 2, 4, 6, 8]]
    found = with_mean_positions(plan_steps, torch.tensor([2, 3, 4]), left)
    assert found[0, 0].tolist() == [0, 1, (2 + 3 + 5) // 3, (4 + 7) // 2, 6, 8]
    assert found[1, 0].tolist() == [0, 2, (4 + 6 + 10) // 3, (8 + 14) // 2, 12, 16]
    thirds = SimpleNamespace(
        whole=Reduction.from_groups([[0, 1, 2]], 3),
        layout=SimpleNamespace(position=np.arange(3)),
        prepared=SimpleNamespace(positions=torch.tensor([[[5, 6, 7]]])),
    )
    assert with_mean_positions(thirds, torch.tensor([0]), torch.tensor([[[5]]])).tolist() == [[[6]]]
