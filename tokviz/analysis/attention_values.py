"""How much could each token add? Attention times the length of what it would add."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result
from tokviz.analysis.supplied import plain
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import attention_layer, mean_over_layers


@analysis(
    "attention_values",
    title="Attention times value length",
    group="where the model looks",
    needs=("attention",),
    asks=("prompt_statistics",),
    uses=("attention_heads",),
    forwards=lambda size, **options: 1,
    meaning="Bright = the token's value, weighted by its attention, is long: it can move the "
    "output of the layer.",
    not_meaning="It does not say in which direction, nor what the output matrix and later layers "
    "make of it; values of several tokens may cancel.",
    exactness="exact",
    cost="One forward of the prompt. Memory: one prefill, and n numbers per head and layer.",
    paper="https://arxiv.org/abs/2406.12335",
    year=2024,
)
def attention_values(
    trace: Trace,
    prompt_statistics: Callable[[], Mapping[str, np.ndarray]],
    *,
    layer: int | None = None,
) -> Result:
    """Multiply each answer token's attention by the length of the visual token's value.

    Sinks draw attention and have short values, so they fall back. Mean over heads, and over layers
    unless one is named. Where the trace has single heads, each is weighted by the values of its own
    key head; else the head mean by the mean length. The publication takes the sum of absolute
    values as length; here it is the Euclidean length.
    """
    length = plain(prompt_statistics()["value_norm"])[:, :, trace.layout.position]  # [l, g, n]
    if "attention_heads" in trace:
        heads = trace["attention_heads"].astype(np.float32)  # [t, l, h, n]
        of_head = np.repeat(length, heads.shape[2] // length.shape[1], axis=1)
        weighted = (heads * of_head).mean(2)
        notes: tuple[str, ...] = ()
    else:
        weighted = trace["attention"].astype(np.float32) * length.mean(1)
        notes = ("The trace has no single heads: the head mean was weighted by the mean length.",)
    if layer is None:
        values = mean_over_layers(weighted, 1)
    else:
        values = weighted[:, attention_layer(trace, layer, weighted.shape[1])]
    parts = {
        "by_layer": Part(weighted, "t l n", "the same in each layer"),
        "length": Part(length.mean(1), "l n", "length of each value, mean over key heads"),
    }
    return Result(values.astype(np.float32), "t n", parts, {"t": trace.pieces}, notes)
