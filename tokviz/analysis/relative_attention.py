"""Where does the model look for this question more than for any question?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.analysis.supplied import plain
from tokviz.errors import InputError
from tokviz.options import Range
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import attending, attention_layer

GENERAL = "Write a general description of the image."
PUBLISHED = 14 / 32


@analysis(
    "relative_attention",
    title="Attention against a general prompt",
    group="where the model looks",
    needs=("attention",),
    asks=("general_attention",),
    forwards=lambda size, **options: 1,
    meaning="Above 1 = the token gets more of this answer token's attention than it gets when a "
    "general description is asked for.",
    not_meaning="It is no share: a token that hardly anything looks at may have the highest value.",
    exactness="exact",
    cost="One forward of the general prompt. Memory: one prefill.",
    paper="https://arxiv.org/abs/2502.17422",
    year=2025,
)
def relative_attention(
    trace: Trace,
    general_attention: Callable[[str], np.ndarray],
    *,
    layer: Annotated[int | None, Range(0, 200, 1)] = None,
    general: str = GENERAL,
) -> Result:
    """Divide the attention of each answer token by that of a general prompt's last row.

    `general` is that prompt. Both are head means of one layer, by default layer 14 of 32 as in
    the official code, at the same share of the depth (the nearest layer with attention). Tokens
    that draw attention whatever is asked are high in both and fall out. The official code takes
    the row that chooses the first answer token and ends both prompts with "Answer the question
    using a single word or phrase."; here all answer tokens are shown, and the prompts are as
    given. A token without any attention in the general prompt is divided by the smallest
    positive number.
    """
    layers = trace["attention"].shape[1]
    if layer is None:
        near, wanted = attending(trace, layers), min(round(PUBLISHED * layers), layers - 1)
        chosen = int(min(near, key=lambda one: abs(one - wanted)))
    else:
        chosen = attention_layer(trace, layer, layers)
    base = plain(general_attention(general))
    if base.shape != (layers, trace.n):
        raise InputError(f"general_attention must be [{layers}, {trace.n}], got {base.shape}.")
    own = trace["attention"][:, chosen].astype(np.float32)
    divisor = np.maximum(base[chosen].astype(np.float32), np.finfo(np.float32).tiny)
    parts = {
        "general": Part(base.astype(np.float32), "l n", "attention of the general prompt"),
        "layer": number(chosen, "the layer"),
    }
    return Result(own / divisor, "t n", parts, {"t": trace.pieces})
