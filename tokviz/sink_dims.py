"""Which dimensions of the residual stream mark a model's attention sinks?

Massive activations (arXiv 2402.17762) live in a few fixed dimensions of a few rows: the first one,
and sometimes a delimiter. Our recipe, parts from third-party practice: in the middle half of the
layers, after an RMS norm without weight, a dimension of such a row counts when it holds enough of
the row's energy and stands out from the other rows; a dimension found in half of the layers of half
of the prompts is a sink dimension. The constants are ours and were tried on random models only.

`SinkSearch` looks at one layer of one prompt at a time and keeps a handful of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

CONCENTRATED = 0.1
"A row is looked at when one dimension holds this share of its energy."
STRONG = 0.15
"A dimension counts from this times the square root of the width."
STANDS_OUT = 5.0
"It must be this many times the median over the other rows."
MOST = 5


def sink_threshold(width: int) -> float:
    """Return the threshold for phi that is 20 at width 4096: .3125 times the root of the width."""
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
        attended: a row to look at in place of the first and the largest.
    """
    normed = np.abs(_normed(states))
    width = normed.shape[1]
    largest = int(np.abs(_plain(states)).max(1).argmax())
    rows = {0, largest} if attended is None else {attended}
    found: dict[int, float] = {}
    for row in rows:
        values = normed[row]
        if values.max() ** 2 / width < CONCENTRATED:
            continue
        for dim in np.flatnonzero(values >= STRONG * np.sqrt(width)):
            others = np.delete(normed[:, dim], row)
            if values[dim] >= STANDS_OUT * (np.median(others) if others.size else 0):
                found[int(dim)] = max(found.get(int(dim), 0.0), float(values[dim]))
    return found


class SinkSearch:
    """Collects candidates while prompts are read, layer by layer."""

    def __init__(self, layers: int) -> None:
        """Args: `layers` of the decoder; only the middle half is looked at."""
        self.wanted = range(-(-layers // 4), 3 * layers // 4 + 1)
        self.prompts: list[dict[int, dict[int, float]]] = []

    def begin_prompt(self) -> None:
        """Say that the next layers are of a new prompt."""
        self.prompts.append({})

    def see(self, layer: int, states: Any, attended: int | None = None) -> None:
        """Look at the residual stream [rows, d] at the input of a layer."""
        if layer in self.wanted:
            self.prompts[-1][layer] = candidate_dims(states, attended)

    def dims(self) -> tuple[int, ...]:
        """Return the sink dimensions, strongest first, at most five; empty = none were found."""
        votes: dict[int, int] = {}
        strength: dict[int, list[float]] = {}
        for layers in self.prompts:
            for dim in {dim for found in layers.values() for dim in found}:
                values = [found[dim] for found in layers.values() if dim in found]
                votes[dim] = votes.get(dim, 0) + (2 * len(values) >= len(layers))
                strength.setdefault(dim, []).extend(values)
        kept = [dim for dim, count in votes.items() if 2 * count >= len(self.prompts) and count]
        return tuple(sorted(kept, key=lambda dim: (-np.median(strength[dim]), dim))[:MOST])


def find_sink_dims(prompts: Iterable[Sequence[Any]]) -> tuple[int, ...]:
    """Return the sink dimensions of a model.

    Args:
        prompts: for each prompt the states [rows, d] at the input of every decoder layer; 4 to 8
            prompts, text is enough.

    Returns:
        At most five dimensions, strongest first; empty when the model has none.
    """
    search: SinkSearch | None = None
    for layers in prompts:
        search = search or SinkSearch(len(layers))
        search.begin_prompt()
        for layer, states in enumerate(layers):
            search.see(layer, states)
    return search.dims() if search else ()


def _plain(states: Any) -> np.ndarray:
    if hasattr(states, "detach"):
        states = states.detach().float().cpu().numpy()
    return np.asarray(states, np.float32)


def _normed(states: Any) -> np.ndarray:
    states = _plain(states)
    return states / np.sqrt(np.square(states).mean(1, keepdims=True) + 1e-6)
