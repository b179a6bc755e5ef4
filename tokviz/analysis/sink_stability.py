"""Are the sinks the same tokens in every layer, and for every question?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result
from tokviz.analysis.sinks import FIRST_LAYER, sink_mask
from tokviz.errors import InputError
from tokviz.trace import Trace


def jaccard(masks: np.ndarray) -> np.ndarray:
    """Return the overlap of every two sets, float64 [l, l]; two empty sets overlap fully.

    Args:
        masks: bool [l, n].
    """
    count = masks.astype(np.float64)
    both = count @ count.T
    size = count.sum(1)
    either = size[:, None] + size[None, :] - both
    return np.where(either > 0, both / np.where(either > 0, either, 1), 1.0)


@analysis(
    "sink_stability",
    title="Stability of sinks",
    group="sinks and registers",
    needs=("sink_phi", "sink_dims"),
    may_ask=("others",),
    meaning="Bright = this token is a sink in most layers (and for most of the other questions).",
    not_meaning="A stable sink belongs to the image and the model; it does not say that the token "
    "holds nothing.",
    exactness="exact",
    cost="No further run; for other questions one run each. Memory: one number per prompt row "
    "and layer.",
    paper="https://arxiv.org/abs/2503.03321",
    year=2025,
)
def sink_stability(trace: Trace, others: Sequence[Trace] = ()) -> Result:
    """Show how many layers (and questions) agree that a token is a sink.

    The first two layers are left out. `others` are runs of other questions about the same image.
    """
    for other in others:
        if other.n != trace.n:
            raise InputError(f"the other run has {other.n} visual tokens, this one {trace.n}.")
    masks = [sink_mask(run)[0] for run in (trace, *others)]
    late = [mask[FIRST_LAYER:] for mask in masks]
    often = np.mean([mask.mean(0) if len(mask) else np.zeros(trace.n) for mask in late], 0)
    parts = {"layers": Part(jaccard(masks[0]), "l l", "overlap of the sinks of every two layers")}
    if others:
        ever = np.stack([mask.any(0) for mask in late])
        meaning = "overlap of the sinks of every two questions, this one first"
        parts["questions"] = Part(jaccard(ever), "r r", meaning)
    return Result(often, "n", parts)
