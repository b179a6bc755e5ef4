import numpy as np
import torch

from tokviz.reduction import reduce
from tokviz.reduction.parts.similarity import cosines
from tokviz.reduction.zoo_prune import sensitive_and_diverse, sensitivity

X = torch.tensor([[1.0, 0], [2, 0], [1, 1], [0, 3], [0, 1]])


def test_worked_example():
    raw = sensitivity(lambda x: x * x, X, torch.eye(2), 0.01)
    assert np.allclose(raw, [1, 2, 2, 3, 1], atol=1e-4)
    scaled = np.array([0, 0.5, 0.5, 1, 0])
    assert sensitive_and_diverse(scaled, cosines(X * X), 3) == [3, 1, 2]


def test_same_seed_same_choice_and_directions_matter(random_signals):
    signals = random_signals(30)
    one, again = (reduce("zoo_prune", signals, 8) for _ in range(2))
    assert list(one.order) == list(again.order)
    assert not np.allclose(one.score, reduce("zoo_prune", signals, 8, seed=1).score)


def test_linear_projector_leaves_diversity_alone(random_signals):
    signals = random_signals(12)
    weight = torch.randn(12, 10, generator=torch.Generator().manual_seed(0)).double()
    raw = sensitivity(lambda x: (x.double() @ weight), torch.as_tensor(signals["feats_pre"]),
                      torch.eye(12), 0.01)  # fmt: skip
    assert np.allclose(raw, raw[0], rtol=1e-4)
