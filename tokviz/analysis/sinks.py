"""Which visual tokens are attention sinks, and how much attention do they draw?

Sinks and the statistic phi: See What You Are Told, arXiv 2503.03321. The paper's threshold is 20
for every model. Phi cannot exceed the square root of the model's width, so here the threshold is
scaled with that root and is 20 at a width of 4096. The first two layers are left out, as in the
official code; the paper leaves out the last layer as well.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.ranks import spearman
from tokviz.analysis.result import Part, Result, number
from tokviz.errors import MissingSignal
from tokviz.options import Range
from tokviz.sink_dims import sink_threshold
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import layer_gaps

FIRST_LAYER = 2


@analysis(
    "sinks",
    title="Visual attention sinks",
    group="sinks and registers",
    needs=("sink_phi", "sink_dims"),
    meaning="A marked token carries a massive activation: in that layer it draws attention "
    "whatever the question is.",
    not_meaning="It is not proof that the token is useless; some sinks hold global information "
    "from the vision tower.",
    exactness="exact",
    cost="No further run. Memory: one number per prompt row and layer.",
    paper="https://arxiv.org/abs/2503.03321",
    year=2025,
)
def sinks(
    trace: Trace,
    *,
    tau: Annotated[float | None, Range(0, 1000)] = None,
    rho: Annotated[float, Range(0, 1, 0.05)] = 0.5,
    least_mass: Annotated[float, Range(0, 1, 0.05)] = 0.2,
) -> Result:
    """Mark visual attention sinks per layer, and measure the attention that falls on them.

    `tau` is the threshold of phi; empty = 0.3125 times the square root of the width. A head is
    image-centric for an answer token when at least `least_mass` of its attention is on the image
    and at most `rho` of that on sinks (as in the official code; the paper's rho is 1 minus this).
    """
    mask, phi, tau = sink_mask(trace, tau)
    text = phi > tau
    text[:FIRST_LAYER] = False
    text[:, trace.layout.position] = False
    parts = {
        "phi": Part(phi[:, trace.layout.position], "l n", "the statistic of each visual token"),
        "tau": number(tau, "the threshold"),
        "count": Part(mask.sum(1), "l", "visual sinks in each layer"),
        "text": Part(text, "l s", "sinks outside the image, such as the first token"),
    }
    if "attention" in trace:
        parts |= _attention_parts(trace, mask, phi)
    if "attention_heads" in trace:
        parts |= head_parts(trace["attention_heads"].astype(np.float32), mask, rho, least_mass)
    dims = ", ".join(map(str, trace["sink_dims"]))
    notes = (f"Sink dimensions {dims}; threshold {tau:.2f}.",)
    return Result(mask, "l n", parts, notes=notes)


def sink_mask(trace: Trace, tau: float | None = None) -> tuple[np.ndarray, np.ndarray, float]:
    """Return which visual tokens are sinks, bool [l, n], phi float32 [l, s], and the threshold.

    Raises:
        MissingSignal: no threshold is given and the trace does not say how wide the model is.
    """
    phi = trace["sink_phi"].astype(np.float32)
    if tau is None:
        width = int(trace.model.get("hidden_size", 0))
        if not width:
            raise MissingSignal("this trace does not say how wide its model is: give `tau`.")
        tau = sink_threshold(width)
    mask = phi[:, trace.layout.position] > tau
    mask[:FIRST_LAYER] = False
    return mask, phi, tau


def sink_share(attention: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the share of the image attention that falls on sinks.

    Args:
        attention: [t, l, n] or [t, l, h, n].
        mask: bool [l, n].

    Returns:
        [t, l] or [t, l, h]; 0 where the image gets no attention.
    """
    # align the mask with [t, l, n] as [l, n], with [t, l, h, n] as [l, 1, n]
    per_layer = mask if attention.ndim == 3 else mask[:, None]
    total = attention.sum(-1)
    return (attention * per_layer).sum(-1) / np.where(total > 0, total, 1)


def _attention_parts(trace: Trace, mask: np.ndarray, phi: np.ndarray) -> dict[str, Part]:
    attention = trace["attention"].astype(np.float32)
    share = sink_share(attention, mask)
    visual = phi[:, trace.layout.position]
    pairs = zip(visual, attention.mean(0), strict=True) if len(attention) else ()
    agreement = np.array([spearman(a, b) for a, b in pairs] or np.full(len(mask), np.nan))
    agreement[list(layer_gaps(trace, len(mask)))] = np.nan
    return {
        "share": Part(
            share.mean(0) if len(share) else np.zeros(len(mask)),
            "l",
            "share of the image attention on sinks, mean over the answer",
        ),
        "share_by_token": Part(share, "t l", "the same for each answer token"),
        "agreement": Part(
            agreement, "l", "rank correlation of phi and attention over the visual tokens"
        ),
    }


def head_parts(
    heads: np.ndarray, mask: np.ndarray, rho: float, least_mass: float
) -> dict[str, Part]:
    """Return the visual non-sink ratio [t, l, h] and how often a head is image-centric [l, h]."""
    portion, total = sink_share(heads, mask), heads.sum(-1)
    centric = (total >= least_mass) & (portion <= rho)
    often = centric.mean(0) if len(centric) else np.zeros(centric.shape[1:])
    often = np.where(np.isnan(total).all(0), np.nan, often) if len(centric) else often
    return {
        "non_sink_ratio": Part(
            np.where(total > 0, 1 - portion, np.nan),
            "t l h",
            "share of a head's image attention that is not on sinks",
        ),
        "image_centric": Part(
            often, "l h", "share of answer tokens for which the head is image-centric"
        ),
    }
