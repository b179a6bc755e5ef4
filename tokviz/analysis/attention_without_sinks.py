"""Where would the model look if its sinks drew nothing?"""

from typing import Annotated

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result
from tokviz.analysis.sinks import sink_mask
from tokviz.options import Range
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import attention_layer, mean_over_layers


@analysis(
    "attention_without_sinks",
    title="Attention with sinks redistributed",
    group="where the model looks",
    needs=("attention", "sink_phi", "sink_dims"),
    meaning="A bright token gets much of the answer token's attention to the image once the share "
    "of visual sinks is given to the other visual tokens, in proportion.",
    not_meaning="It is no run of the model with other attention: for that, answer with the "
    "mitigation var.",
    exactness="exact",
    cost="No further run. Memory: n numbers per answer token and layer.",
    paper="https://arxiv.org/abs/2503.03321",
    year=2025,
)
def attention_without_sinks(
    trace: Trace,
    *,
    layer: int | None = None,
    tau: Annotated[float | None, Range(0, 1000)] = None,
) -> Result:
    """Give the attention on visual sinks to the other visual tokens, layer by layer.

    `tau` is the threshold of phi, see the analysis sinks. The image's share of a row stays as it
    is. Where all of it lies on sinks, nothing is left to give it to, and the row stays as it is.
    Mean over layers unless one is named; the first two layers have no sinks.
    """
    mask, _, _ = sink_mask(trace, tau)
    attention = trace["attention"].astype(np.float32)  # [t, l, n]
    others = np.where(mask, 0, attention)
    whole, left = attention.sum(2, keepdims=True), others.sum(2, keepdims=True)
    given = np.where(left > 0, others * (whole / np.maximum(left, 1e-30)), attention)
    if layer is None:
        values = mean_over_layers(given, 1)
    else:
        values = given[:, attention_layer(trace, layer, given.shape[1])]
    parts = {
        "by_layer": Part(given, "t l n", "the same in each layer"),
        "moved": Part((whole - left)[..., 0], "t l", "share of the row that lay on visual sinks"),
    }
    return Result(values, "t n", parts, {"t": trace.pieces})
