import numpy as np
import torch

from tokviz.reduction import reduce
from tokviz.reduction.apet import farthest, residual


def test_basis_tokens_lie_far_from_each_other():
    line = torch.tensor([[0.0], [1], [2], [10], [6]])
    start = int(torch.randint(0, 5, (1,), generator=torch.Generator().manual_seed(0)))
    chosen = farthest(line, 3, 0).tolist()
    assert chosen[0] == start
    # the second is the end of the line that is farther away, the third the other end
    far = 3 if line[start] < 5 else 0
    assert chosen[1] == far


def test_what_the_basis_rebuilds_has_no_error():
    basis = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    error = residual(torch.tensor([[2.0, 3, 0], [0, 0, 4], [1, 0, 3]]), basis)
    assert np.allclose(error, [0, 4, 3], atol=1e-3)


def test_the_last_kept_become_the_basis_and_the_rest_is_averaged():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((12, 4)).astype(np.float32)
    done = reduce("apet", {"feats_pre": features}, 5, basis=2)
    basis, gone = done.roles["basis"], done.roles["overwritten"]
    matrix = done.matrix()
    row_of = {int(place): row for row, place in enumerate(done.position)}
    for token, source in zip(gone, farthest(torch.tensor(features), 2, 0), strict=True):
        assert matrix[row_of[int(token)]].tolist() == np.eye(12)[int(source)].tolist()
    own = [row_of[int(token)] for token in set(done.position.tolist()) - set(gone.tolist())]
    assert np.allclose(matrix[own].sum(1), 1)
    dropped = set(range(12)) - set(done.position.tolist())
    assert all((matrix[own][:, token] > 0).sum() == 1 for token in dropped)
    assert len(basis) == 2


def test_inside_the_language_model_the_basis_comes_in_the_order_of_errors():
    rng = np.random.default_rng(1)
    states = rng.standard_normal((20, 6)).astype(np.float32)
    first = reduce("apet", {"feats_pre": states}, 9, basis=4)
    second = reduce("apet_stage", {"llm_hidden": states}, 9, basis=4)
    assert (first.position == second.position).all()
    assert (first.matrix() != second.matrix()).any()


def test_a_budget_of_one_has_no_basis_token():
    features = np.eye(4, dtype=np.float32)
    done = reduce("apet", {"feats_pre": features}, 1)
    assert done.m == 1
    assert np.allclose(done.matrix(), 0.25)
