"""What is said of attention sinks: of those among the visual tokens, and of the one before them."""

from dataclasses import replace

import numpy as np
import pytest

from tests.view.fakes import fake_trace
from tokviz.trace import Trace
from tokviz.view.explorer import find_sinks


def run(before: float, dims: bool = True, phi: float = 40.0) -> Trace:
    """36 visual tokens behind two others, which get this share of the attention in layer 3."""
    plain = fake_trace(6, 6)
    mass = np.full_like(plain["mass"], 0.01)
    mass[:, 3, :, 0] = before
    arrays = {**plain.arrays, "mass": mass}
    arrays["sink_phi"] = np.where(plain["sink_phi"] > 30, phi, 0).astype(np.float16)
    if dims:
        arrays["sink_dims"] = np.array([3], np.int32)
    return replace(plain, arrays=arrays)


@pytest.mark.parametrize(
    ("trace", "of_the_picture"),
    [
        (run(0.9), "1 token is an attention sink in some layer"),
        (run(0.9, phi=1.0), "No attention sinks were found among the visual tokens"),
        (run(0.9, dims=False), "No sink dimensions are known for this model"),
    ],
)
def test_the_sink_before_the_picture_is_named_beside_those_in_it(trace, of_the_picture):
    """It once was named only where no sink dimension was known, so not where <s> had one."""
    _, said = find_sinks(trace)
    assert said.startswith(of_the_picture)
    assert "Outside the image there is one: the 2 tokens before it take 90 % of the" in said
    assert "in layer 3, 19 times an even share." in said


def test_an_even_share_before_the_picture_is_no_sink():
    _, said = find_sinks(run(0.05))
    assert "Outside the image" not in said
