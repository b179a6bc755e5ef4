import numpy as np
import torch

import tokviz.sink_dims
from tokviz.models.decoder.recorded_states import sink_phi


def test_the_sink_statistic_of_a_run_is_that_of_arrays():
    """Large values of either sign mark a sink; two dimensions, and the larger one counts."""
    states = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
    states[2, 3], states[4, 3], states[5, 9] = 40, -40, -30
    phi = sink_phi(torch.tensor(states), torch.tensor([3, 9])).numpy()
    np.testing.assert_allclose(phi, tokviz.sink_dims.sink_phi(states, [3, 9]), rtol=1e-5)
    assert (phi[[2, 4, 5]] > 3.5).all()
    assert (phi[[0, 1, 3]] < 3).all()
