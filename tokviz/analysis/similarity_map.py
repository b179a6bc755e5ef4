"""Which image tokens ended up in the same state as an answer token?

The map of READ / Similarity as Points (arXiv 2412.17741) uses the state of a trained <SEG> token
and plain dot products; here it is any answer token and the cosine, which needs no training.
"""

from __future__ import annotations

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result
from tokviz.trace import Trace

HIGH, LOW = 0.8, 0.2
"Values of at least HIGH belong to the word, values of at most LOW do not (READ)."


def rescale(maps: np.ndarray) -> np.ndarray:
    """Bring each map [..., n] to 0..1; zeros where it is constant."""
    low, high = maps.min(-1, keepdims=True), maps.max(-1, keepdims=True)
    return (maps - low) / np.where(high > low, high - low, 1)


@analysis(
    "similarity_map",
    title="Similarity to an answer token",
    group="where the model looks",
    needs=("state_similarity",),
    meaning="A bright token's last state points the same way as the state from which this answer "
    "token was chosen.",
    not_meaning="It compares states, not words: unlike the Token Activation Map it does not know "
    "which word was chosen from the state.",
    exactness="exact",
    cost="No further run. Memory: n numbers per answer token.",
)
def similarity_map(trace: Trace, *, without_shared: bool = False) -> Result:
    """Show the cosine of each visual token's last state with each answer token's.

    `without_shared` subtracts the mean map over all answer tokens, the part that all maps share.
    `points` classifies each visual token by the rescaled map: it belongs to the word (1), it does
    not (0), or it is undecided (-1).
    """
    maps = trace["state_similarity"].astype(np.float32)
    if without_shared and len(maps):
        maps = maps - maps.mean(0)
    scaled = rescale(maps) if maps.size else maps
    points = np.where(scaled >= HIGH, 1, np.where(scaled <= LOW, 0, -1)).astype(np.int8)
    part = Part(points, "t n", "1 = belongs to the word, 0 = does not, -1 = undecided")
    return Result(maps, "t n", {"points": part}, {"t": trace.pieces})
