"""Which dimensions of the residual stream mark a model's attention sinks?

Massive activations (arXiv 2402.17762) are in a few fixed dimensions of a few rows: the first row,
and sometimes a delimiter. tokviz's own rule, in part from third-party practice: in the middle half
of the layers, after an RMS norm without weight, a dimension of such a row is a candidate if it has
a large enough share of the row's energy and is much larger than in the other rows. A dimension
found in half of the layers of half of the prompts is a sink dimension. The constants are tokviz's
own and were tried only on random models.

`SinkSearch` examines one layer of one prompt at a time and keeps a few numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

CONCENTRATED = 0.1
"A row is examined if one dimension has this share of its energy."
STRONG = 0.15
"A dimension is a candidate from this times the square root of the width on."
STANDS_OUT = 5.0
"A candidate must be this many times the median over the other rows."
MAX_DIMS = 5


def sink_threshold(width: int) -> float:
    """Return the threshold of phi: 0.3125 times the square root of the width, 20 at width 4096."""
    return 0.3125 * float(np.sqrt(width))


def sink_phi(states: np.ndarray, dims: Sequence[int]) -> np.ndarray:
    """Return the sink statistic of rows.

    Args:
        states: [rows, d] residual stream at a layer's input.
        dims: sink dimensions, at least one.

    Returns:
        float32 [rows], the largest RMS-normed value on a sink dimension; at most sqrt(d).
    """
    return np.abs(_normed(states)[:, list(dims)]).max(1)


def candidate_dims(states: Any, attended: int | None = None) -> dict[int, float]:
    """Return the dimensions that could mark sinks in one layer, with their strength.

    Args:
        states: [rows, d] residual stream at the layer's input, numpy or torch.
        attended: the row to examine; None = the first row and the row with the largest value.
    """
    normed = np.abs(_normed(states))
    width = normed.shape[1]
    largest = int(np.abs(_plain(states)).max(1).argmax())
    rows = {0, largest} if attended is None else {attended}
    found: dict[int, float] = {}
    for row in rows:
        values = normed[row]
        # the share of the row's squared norm on one dimension (RMS-normed rows have norm^2 = d)
        if values.max() ** 2 / width < CONCENTRATED:
            continue
        for dim in np.flatnonzero(values >= STRONG * np.sqrt(width)):
            others = np.delete(normed[:, dim], row)
            if values[dim] >= STANDS_OUT * (np.median(others) if others.size else 0):
                found[int(dim)] = max(found.get(int(dim), 0.0), float(values[dim]))
    return found


class SinkSearch:
    """Collects candidates layer by layer, over several prompts."""

    def __init__(self, layers: int) -> None:
        """Args: `layers` = number of decoder layers; only the middle half is examined."""
        self.wanted = range(-(-layers // 4), 3 * layers // 4 + 1)
        self.prompts: list[dict[int, dict[int, float]]] = []

    def begin_prompt(self) -> None:
        """Begin a new prompt, to which the next layers belong."""
        self.prompts.append({})

    def add(self, layer: int, states: Any, attended: int | None = None) -> None:
        """Add the candidates in the residual stream [rows, d] at the input of a layer."""
        if layer in self.wanted:
            self.prompts[-1][layer] = candidate_dims(states, attended)

    def dims(self) -> tuple[int, ...]:
        """Return the sink dimensions, strongest first, at most five; empty = none were found.

        A prompt votes for a dimension that is a candidate in at least half of its layers; found are
        the dimensions with the votes of at least half of the prompts.
        """
        votes: dict[int, int] = {}
        strength: dict[int, list[float]] = {}
        for layers in self.prompts:
            for dim in {dim for found in layers.values() for dim in found}:
                values = [found[dim] for found in layers.values() if dim in found]
                votes[dim] = votes.get(dim, 0) + (2 * len(values) >= len(layers))
                strength.setdefault(dim, []).extend(values)
        kept = [dim for dim, count in votes.items() if 2 * count >= len(self.prompts) and count]
        return tuple(sorted(kept, key=lambda dim: (-np.median(strength[dim]), dim))[:MAX_DIMS])


def find_sink_dims(prompts: Iterable[Sequence[Any]]) -> tuple[int, ...]:
    """Return the sink dimensions of a model.

    Args:
        prompts: for each prompt the states [rows, d] at the input of every decoder layer; 4 to 8
            prompts, text is enough.

    Returns:
        At most five dimensions, strongest first; empty if the model has none.
    """
    search: SinkSearch | None = None
    for layers in prompts:
        search = search or SinkSearch(len(layers))
        search.begin_prompt()
        for layer, states in enumerate(layers):
            search.add(layer, states)
    return search.dims() if search else ()


def _plain(states: Any) -> np.ndarray:
    if hasattr(states, "detach"):
        states = states.detach().float().cpu().numpy()
    return np.asarray(states, np.float32)


def _normed(states: Any) -> np.ndarray:
    states = _plain(states)
    return states / np.sqrt(np.square(states).mean(1, keepdims=True) + 1e-6)
