"""How much does each image token add to the answer, by the gradient of its features?

Captum's input x gradient and integrated gradients (arXiv 1703.01365), on the projected features of
the visual tokens, summed over the width. The baseline stands for "no image": zeros, or the mean
token of this image. The attributions of integrated gradients should add up to the change from the
baseline to the image; the result says how far they miss it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Result, number
from tokviz.analysis.supplied import plain
from tokviz.errors import InputError
from tokviz.options import Range
from tokviz.trace import Trace

Baseline = Literal["mean", "zero"]
BATCH = 8


def baseline_of(features: Any, baseline: Baseline) -> Any:
    """Return features [1, n, d] that stand for "nothing"."""
    if baseline == "zero":
        return features * 0
    return features.mean(1, keepdim=True).expand_as(features)


def prepared(trace: Trace, features: Any) -> Any:
    """Return a copy of the features as one batch [1, n, d] outside any autograd graph.

    Raises:
        InputError: the features are of another number of visual tokens.
    """
    if len(features) != trace.n:
        raise InputError(f"features are for {len(features)} visual tokens, the run has {trace.n}.")
    return features.clone().detach()[None]


@analysis(
    "input_gradient",
    title="Input x gradient",
    group="what the answer needs",
    needs=(),
    asks=("forward", "features"),
    forwards=lambda size, **options: 1,
    meaning="Positive = scaling this token's features up a little would make the answer more "
    "probable.",
    not_meaning="It is a linear approximation at one point: where the model is saturated it is "
    "near 0 for tokens that matter.",
    exactness="heuristic",
    cost="One forward and one backward; memory of one prefill's graph.",
)
def input_gradient(trace: Trace, forward: Any, features: Any) -> Result:
    """Multiply each token's features with their gradient (captum)."""
    from captum.attr import InputXGradient

    found = InputXGradient(forward).attribute(prepared(trace, features).requires_grad_())
    values = plain(found.sum(-1))[0]
    return Result(values, "n", {"total": number(values.sum(), "sum over the tokens")})


@analysis(
    "integrated_gradients",
    title="Integrated gradients",
    group="what the answer needs",
    needs=(),
    asks=("forward", "features"),
    forwards=lambda size, steps, **options: steps + 2,
    meaning="Each token's share of the change in the answer's log-probability from the baseline "
    "to this image.",
    not_meaning="It depends on the baseline, and on features between the two that no image gives.",
    exactness="exact",
    cost="As many forwards and backwards as steps, eight at a time; memory of eight prefills' "
    "graphs.",
    paper="https://arxiv.org/abs/1703.01365",
    year=2017,
)
def integrated_gradients(
    trace: Trace,
    forward: Any,
    features: Any,
    *,
    steps: Annotated[int, Range(4, 256, 4)] = 32,
    baseline: Baseline = "mean",
) -> Result:
    """Integrate the gradient along the straight line from a baseline to the image (captum).

    Gauss-Legendre quadrature. `error` is the sum of the attributions minus the whole change; raise
    `steps` when it is not small compared with `total`.
    """
    from captum.attr import IntegratedGradients

    inputs = prepared(trace, features)
    found, delta = IntegratedGradients(forward).attribute(
        inputs.requires_grad_(),
        baselines=baseline_of(inputs.detach(), baseline),
        n_steps=steps,
        method="gausslegendre",
        internal_batch_size=BATCH,
        return_convergence_delta=True,
    )
    values = plain(found.sum(-1))[0]
    error = float(plain(delta)[0])
    # captum's delta is sum of attributions - (F(image) - F(baseline))
    total = float(values.sum(dtype=np.float64)) - error
    parts = {
        "total": number(total, "change of the log-probability from the baseline"),
        "error": number(error, "sum of the attributions minus the total"),
    }
    return Result(values, "n", parts)
