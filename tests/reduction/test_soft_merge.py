import numpy as np
import torch

from tokviz.reduction import METHODS, reduce


def toy():
    radians = torch.deg2rad(torch.tensor([0.0, 30, 80, 90, 45], dtype=torch.float64))
    keys = torch.stack([radians.cos(), radians.sin()], 1)
    return {"keys": keys, "recv_attn": [0.4, 0.1, 0.1, 0.3, 0.1]}  # anchors 0 and 3


def test_a_token_halfway_is_shared_equally():
    r = reduce("soft_merge", toy(), keep=2)
    assert r.roles["anchor"].tolist() == [0, 3]
    w = r.matrix()
    share = w[:, 4] / w[[0, 1], [0, 3]]  # against the anchors, which give themselves whole
    np.testing.assert_allclose(share, [0.5, 0.5], rtol=1e-4)
    np.testing.assert_allclose(w.sum(1), 1, rtol=1e-6)


def test_a_cold_softmax_is_one_hot():
    r = reduce("soft_merge", {**toy(), "sizes": [1, 1, 1, 2, 1]}, keep=2, temperature=0.001)
    assert (r.matrix()[:, 1] > 0).tolist() == [True, False]
    np.testing.assert_allclose(r.matrix()[1, 2:4], np.array([1, 2]) / 3.5, rtol=1e-4)


def test_one_anchor_per_token_is_plain_merging():
    r = reduce("soft_merge", toy(), keep=2, anchors_per_token=1)
    assert (np.bincount(r.cols) == 1).all()
    assert r.group.tolist() == [0, 0, 1, 1, 0]


def test_it_is_labelled_a_stand_in():
    assert not METHODS["soft_merge"].verified
