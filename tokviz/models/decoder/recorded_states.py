"""Hidden states, and the sink statistic of the states, that a lane records for its trace."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass
class RecordedStates:
    """The recorded states of one lane, on the model's device until the lane is done."""

    states: list[torch.Tensor] = field(default_factory=list)
    "Normed last hidden states: first the whole prompt [rows, d], then [1, d] per decode step."
    phi: dict[int, torch.Tensor] = field(default_factory=dict)
    "Decoder layer -> sink statistic [rows] at its input, during the prefill."


def sink_phi(states: torch.Tensor, dims: torch.Tensor) -> torch.Tensor:
    """Return max over sink dimensions of the RMS-normed state (no weight), float32 [rows].

    Args:
        states: [rows, d] residual stream at a layer's input.
        dims: [k] sink dimensions, at least one.

    Source: "See What You Are Told", arXiv 2503.03321, with epsilon 1e-6.
    """
    # |x_d| / rms(x), the largest over the sink dimensions d: [rows, d] -> [rows, k] -> [rows]
    states = states.float()
    scale = torch.rsqrt(states.square().mean(-1) + 1e-6)
    return states[:, dims].abs().amax(-1) * scale
