import numpy as np
import torch

import tokviz.sink_dims
from tokviz.models.decoder.recorded_states import RecordedStates


def test_the_sink_statistic_of_a_run_is_that_of_arrays():
    """Large values of either sign mark a sink; two dimensions, and the larger one counts."""
    states = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
    states[2, 3], states[4, 3], states[5, 9] = 40, -40, -30
    recorded, cpu = RecordedStates(), torch.device("cpu")
    recorded.keep_sinks(4, torch.tensor(states), torch.tensor([3, 9]))
    recorded.keep_sinks(5, torch.tensor(states).bfloat16(), torch.tensor([3, 9]))
    phi, rough = recorded.phi([4, 5], cpu).numpy()
    np.testing.assert_allclose(phi, tokviz.sink_dims.sink_phi(states, [3, 9]), rtol=1e-5)
    np.testing.assert_allclose(rough, phi, rtol=0.02)
    assert (phi[[2, 4, 5]] > 3.5).all()
    assert (phi[[0, 1, 3]] < 3).all()
