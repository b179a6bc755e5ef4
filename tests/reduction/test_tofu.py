import numpy as np
import torch

from tokviz.reduction import reduce


def test_a_merged_token_is_as_long_as_its_longest_member():
    keys = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    hidden = np.array([[3.0, 0], [0, 4], [1, 0], [1, 0]], np.float32)
    r = reduce("tofu", {"keys": keys, "hidden": hidden, "prefix": 0}, keep=2)
    merged = r.apply(hidden)
    np.testing.assert_allclose(np.linalg.norm(merged, axis=1), [4, 1], rtol=1e-6)
    np.testing.assert_allclose(merged[0] / 4, [0.6, 0.8], rtol=1e-6)  # direction of the mean


def test_lone_tokens_are_copied():
    keys = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    hidden = np.arange(8, dtype=np.float32).reshape(4, 2)
    r = reduce("tofu", {"keys": keys, "hidden": hidden, "prefix": 0}, keep=3)
    assert (r.matrix()[r.row_sizes == 1].max(1) == 1).all()
