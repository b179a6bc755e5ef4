"""Which visual tokens did each word of the answer choose to attend to?"""

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result
from tokviz.trace import Trace


@analysis(
    "decode_sets",
    title="Tokens chosen by each word",
    group="where the model looks",
    needs=("decode_sets",),
    meaning="1 = every choice that was made for this answer token had the visual token, 0 = none: "
    "layers after the choice attended to the chosen tokens only.",
    not_meaning="It does not say how much attention a chosen token got, and layers before the "
    "first choice attended to all tokens.",
    exactness="exact",
    cost="No further run. Memory: n numbers per answer token.",
    paper="https://arxiv.org/abs/2410.05076",
    year=2024,
)
def decode_sets(trace: Trace) -> Result:
    """Show the sets of a method that chooses anew for each word of the answer (TidalDecode).

    The row of the first answer token read the whole prompt, so it has all tokens. `overlap` is the
    share of a word's set that the word before had chosen, too.
    """
    sets = trace["decode_sets"].astype(np.float32)
    size, both = sets.sum(1), np.minimum(sets[1:], sets[:-1]).sum(1)
    overlap = np.concatenate([np.full(min(trace.t, 1), np.nan), both / np.maximum(size[1:], 1e-9)])
    parts = {
        "size": Part(size, "t", "tokens in the set, mean over the choices"),
        "overlap": Part(overlap, "t", "share of the set that the word before had chosen, too"),
    }
    return Result(sets, "t n", parts, {"t": trace.pieces})
