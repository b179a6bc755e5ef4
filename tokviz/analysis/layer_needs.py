"""How many image tokens does each layer need?"""

from typing import Annotated

import numpy as np

from tokviz.analysis.concentration import entropy, tokens_for_mass
from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result
from tokviz.options import Range
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import layer_gaps


@analysis(
    "layer_needs",
    title="Tokens that each layer needs",
    group="layer by layer",
    needs=("attention",),
    meaning="The number of image tokens that hold this share of the layer's attention to the "
    "image.",
    not_meaning="It counts where attention goes, not what the answer needs: a layer that looks at "
    "a sink alone needs one token by this count.",
    exactness="exact",
    cost="No further run. Memory: n numbers per answer token and layer.",
    paper="https://arxiv.org/abs/2412.00556",
    year=2024,
)
def layer_needs(trace: Trace, *, part: Annotated[float, Range(0.1, 0.99, 0.01)] = 0.9) -> Result:
    """Count how many image tokens hold most of the image attention in each layer.

    Attention is averaged over the answer and sorted; the count is of the largest tokens that
    together have `part` of the sum; layers without attention are NaN. `entropy` says how even it
    is: 0 = one token, 1 = all equal.
    """
    attention = trace["attention"].astype(np.float32)
    mean = attention.mean(0) if len(attention) else attention.sum(0)
    gaps = list(layer_gaps(trace, attention.shape[1]))

    def counted(values: np.ndarray) -> np.ndarray:
        """Count; NaN in layers without attention."""
        found = tokens_for_mass(values, part)
        if gaps:
            found = found.astype(np.float64)
            found[..., gaps] = np.nan
        return found

    parts = {
        "entropy": Part(entropy(mean), "l", "evenness of the image attention"),
        "tokens": Part(counted(attention), "t l", "the count for each answer token"),
    }
    return Result(counted(mean), "l", parts, {"t": trace.pieces})
