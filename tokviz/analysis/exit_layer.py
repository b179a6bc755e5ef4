"""From which layer on could the image leave, without changing the answer?

DyVTE (arXiv 2411.19628) labels its training data by this rule: removing the image before a layer is
safe when, on the full model's own answer, more than 99 % of the most probable tokens stay the same
and the cross-entropy stays under 1.03 times that of the full model.

VTW (arXiv 2405.05803) searches its layer by the next token alone: the first layer, from layer 5 of
32 on, at which the divergence of its distribution from the full one is at most 0.003, mean over 20
samples. Here it is one question; for a mean, run it on several.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.analysis.supplied import plain
from tokviz.errors import InputError
from tokviz.options import Range
from tokviz.trace import Trace

AGREEMENT = 0.99
VTW_FIRST = 5 / 32
"""Where VTW's search begins, as a share of the depth."""


@analysis(
    "exit_layer",
    title="Earliest safe exit of the image",
    group="what the answer needs",
    needs=("answer_ids",),
    asks=("exits",),
    forwards=lambda size, **options: size.layers + 1,
    meaning="The marked layers are safe: all image tokens may leave before them and the answer "
    "stays as it is.",
    not_meaning="It needs the finished answer: it cannot say beforehand where to stop.",
    exactness="exact",
    cost="One teacher-forced forward per layer, and one of the full model. Memory: one prefill.",
    paper="https://arxiv.org/abs/2411.19628",
    year=2024,
)
def exit_layer(
    trace: Trace,
    exits: Callable[[int], tuple[Any, ...]],
    *,
    limit: Annotated[float, Range(1, 2, 0.01)] = 1.03,
    shift: Annotated[float, Range(0, 1, 0.0001)] = 0.003,
) -> Result:
    """Try for every layer whether all visual tokens can leave before it.

    `first` is the earliest safe layer, `from` the earliest from which all later ones are safe too
    (safety need not be monotone); the number of layers means that no exit is safe. `vtw` is the
    layer that VTW's own search takes, the first one from layer 5 of 32 on (scaled to the depth) at
    which `divergence` is at most `shift`; published are 0.003 for LLaVA-1.5-7B, 0.0005 for the 13B
    and 0.0001 for LLaVA-NeXT-7B.
    """
    layers, answer = int(trace.model["layers"]), trace["answer_ids"]
    if not len(answer):
        raise InputError("the run has no answer to compare with.")
    _, whole, *start = exits(layers)
    full = -float(plain(whole).mean())
    agree, ratio, apart = np.zeros(layers), np.zeros(layers), np.zeros(layers)
    for layer in range(layers):
        best, own, *first = exits(layer)
        apart[layer] = divergence(*start, *first) if start and first else np.nan
        agree[layer] = (np.asarray(plain(best), np.int64) == answer).mean()
        loss = -float(plain(own).mean())
        ratio[layer] = loss / full if full > 0 else (1.0 if loss <= 0 else np.inf)
    safe = (agree > AGREEMENT) & (ratio < limit)
    unsafe = np.flatnonzero(~safe)
    parts = {
        "agreement": Part(agree, "l", "share of answer tokens that stay the most probable ones"),
        "ratio": Part(ratio, "l", "cross-entropy of the answer over that of the full model"),
        "first": number(safe.argmax() if safe.any() else layers, "earliest safe layer"),
        "from": number(unsafe[-1] + 1 if len(unsafe) else 0, "all layers from here on are safe"),
    }
    if np.isfinite(apart).all():
        close = np.flatnonzero(apart <= shift)
        close = close[close >= round(VTW_FIRST * layers)]
        parts["divergence"] = Part(apart, "l", "nats between both distributions of the next token")
        parts["vtw"] = number(close[0] if len(close) else layers, "the layer of VTW's search")
    return Result(safe, "l", parts)


def divergence(full: Any, left: Any) -> float:
    """Return KL(left || full) of log-probabilities [v], in nats, as VTW's code has it."""
    p, q = plain(left).astype(np.float64), plain(full).astype(np.float64)
    chances = np.exp(p)
    return max(float((chances * np.where(chances > 0, p - q, 0)).sum()), 0.0)
