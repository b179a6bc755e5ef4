"""Hidden states, and the sink statistic of the states, that a lane records for its trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch


@dataclass
class RecordedStates:
    """The recorded states of one lane, on the model's device until the lane is done."""

    states: list[torch.Tensor] = field(default_factory=list)
    "Normed last hidden states: first the whole prompt [rows, d], then [1, d] per decode step."
    sinks: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    "Decoder layer -> the sink dimensions [rows, k] of the states at its input, their norms [rows]."
    width: int = 0
    "Of these states."

    def keep_sinks(self, layer: int, states: torch.Tensor, dims: torch.Tensor) -> None:
        """Keep what `phi` needs of the states [rows, d] at a layer's input; dims [k], k > 0."""
        norms = torch.linalg.vector_norm(states, dim=-1, dtype=torch.float32)
        self.sinks[layer] = states[:, dims].float(), norms
        self.width = states.shape[-1]

    def phi(self, layers: Sequence[int], device: torch.device) -> torch.Tensor:
        """Return the sink statistic at the input of layers during the prefill, float32 [l, rows].

        It is the largest sink dimension of a state, RMS-normed without a weight.

        Args:
            layers: decoder layers that were kept, with equally many rows.
            device: where the layers' values are brought together.

        Source: "See What You Are Told", arXiv 2503.03321, with epsilon 1e-6.
        """
        parts = zip(*(self.sinks[layer] for layer in layers), strict=True)
        # [l, rows, k] and [l, rows]
        values, norms = (torch.stack([one.to(device) for one in part]) for part in parts)
        return values.abs().amax(-1) * torch.rsqrt(norms.square() / self.width + 1e-6)
