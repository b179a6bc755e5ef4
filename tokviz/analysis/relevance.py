"""Which image tokens speak for a word, by attention weighted with its gradient?

Chefer et al., arXiv 2103.15679, for decoders: A is the positive part of attention times gradient of
a layer, mean over heads, and relevance is the product of (1 + A) over all layers. Only the answer
token's row v is computed, from the last layer to the first (v <- v + v A): the same numbers without
a product of whole matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tokviz.analysis.concentration import shares
from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result
from tokviz.analysis.supplied import Maps, plain, whole_map
from tokviz.trace import Trace


def weighted(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return mean over heads of relu(map x gradient), float64 [q, q], from two [h, q, q]."""
    return np.maximum(maps.astype(np.float64) * gradients, 0).mean(0)


def carry_back(row: np.ndarray, layers: list[np.ndarray]) -> np.ndarray:
    """Multiply a row [q] with 1 + the map [q, q] of each layer, last layer first."""
    for layer in layers:
        row = row + row @ layer
    return row


@analysis(
    "relevance",
    title="Gradient relevance",
    group="what the answer needs",
    needs=(),
    asks=("maps", "gradients"),
    forwards=lambda size, **options: 2,
    meaning="Bright = attention to this image token would have made this word more probable had "
    "it been larger, added up over all layers.",
    not_meaning="It leaves out evidence against the word, feed-forward layers and values: no "
    "exact attribution.",
    exactness="heuristic",
    cost="One forward with its graph and one backward per answer token; 2 to 3 times the memory "
    "of all whole maps.",
    paper="https://arxiv.org/abs/2103.15679",
    year=2021,
)
def relevance(
    trace: Trace,
    maps: Maps,
    gradients: Callable[[int, int], Any],
    *,
    normalised: bool = False,
) -> Result:
    """Show the gradient-weighted attention of each answer token, accumulated over all layers.

    Gradients are of the token's own log-probability, in all layers and rows. `text` is the
    relevance of the other rows of the prompt. `normalised` divides each answer token's relevance
    by its sum, so that words can be compared; the official code does this (`handle_residual`)
    where relevance passes from one modality to another.
    """
    s, t = len(trace.prompt_tokens), trace.t
    rows, layers = s + max(t - 1, 0), range(int(trace.model["layers"]))[::-1]
    whole = [whole_map(maps, layer, rows) for layer in layers]
    found = np.zeros((t, rows))
    for step in range(t):
        # row s - 1 + step chose answer token `step`; its own 1 is the residual path, not relevance
        own = np.eye(rows)[s - 1 + step]
        steps = [
            weighted(one, plain(gradients(layer, step)))
            for layer, one in zip(layers, whole, strict=True)
        ]
        found[step] = carry_back(own, steps) - own
    if normalised:
        # The official code subtracts the identity, divides and adds it again; here it is already
        # gone. There a row of zeros becomes not-a-number, here it stays 0.
        found = shares(found)
    text = found[:, :s].copy()
    text[:, trace.layout.position] = 0
    parts = {"text": Part(text, "t s", "relevance of the prompt's rows outside the image")}
    labels = {"t": trace.pieces, "s": trace.prompt_pieces}
    return Result(found[:, trace.layout.position], "t n", parts, labels)
