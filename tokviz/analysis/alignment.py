"""How close do image and text come to each other inside the language model?

The implicit multimodal alignment score, arXiv 2405.16700: the cosine of the mean visual state and
the mean text state of each layer. For a set of runs it is the mean over all pairs of runs. The
score is the mean over layers; the paper does not say how it averages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.errors import InputError
from tokviz.trace import Trace

Pooling = Literal["pooled", "max", "mean", "median"]


def alignment_of(visual: np.ndarray, text: np.ndarray, pooling: Pooling = "pooled") -> float:
    """Return the alignment of one layer's states.

    Args:
        visual: [n, d] states of the visual rows.
        text: [m, d] states of the text rows.
        pooling: pooled = cosine of the mean states; otherwise the maximum, mean or (lower) median
            of the cosines of all pairs of rows.
    """
    if pooling == "pooled":
        return float(_unit(visual.mean(0)) @ _unit(text.mean(0)))
    cosines = (_unit(visual) @ _unit(text).T).ravel()
    if pooling == "median":
        return float(np.sort(cosines)[(len(cosines) - 1) // 2])
    return float(cosines.max() if pooling == "max" else cosines.mean())


def pairwise_alignment(means: np.ndarray, centred: bool = False) -> np.ndarray:
    """Return the alignment of a set of runs per layer, mean over all pairs of runs.

    Args:
        means: [runs, l, 2, d] mean states of image and text.
        centred: first subtract each modality's mean over the runs. Image and text states lie in
            two separate cones, and this removes their constant offset.

    Returns:
        float64 [l].
    """
    means = np.asarray(means, np.float64)
    if centred:
        means = means - means.mean(0)
    # The mean over all pairs (a, b) of u_a . v_b is (mean u) . (mean v), so that no [runs, runs]
    # table is needed: [runs, l, 2, d] -> [l, 2, d] -> [l].
    unit = _unit(means).mean(0)
    return (unit[:, 0] * unit[:, 1]).sum(-1)


@analysis(
    "alignment",
    title="Implicit alignment score",
    group="layer by layer",
    needs=("layer_means",),
    may_ask=("others",),
    meaning="High = in this layer the mean state of the image points the same way as the mean "
    "state of the text.",
    not_meaning="Over many runs it goes along with fewer hallucinations; for a single answer it "
    "predicts nothing.",
    exactness="exact",
    cost="No further run. Memory: two mean states per layer.",
    paper="https://arxiv.org/abs/2405.16700",
    year=2024,
)
def alignment(trace: Trace, others: Sequence[Trace] = (), *, centred: bool = False) -> Result:
    """Show the cosine of the mean image state and the mean text state in each layer.

    With `others` the result is the mean over all pairs of runs. `centred` needs `others`: it
    subtracts each modality's mean over the runs. `input` compares the text of each layer with the
    image as it entered the language model.
    """
    if centred and not others:
        raise InputError("centred needs the traces of other runs, whose mean it subtracts.")
    runs = [trace["layer_means"], *(other["layer_means"] for other in others)]
    if len({run.shape for run in runs}) > 1:
        raise InputError("the other traces are of another model.")
    means = np.stack(runs)
    values = pairwise_alignment(means, centred)
    # [runs, l, 2, d] again, with the image of layer 0 in every layer
    entered = np.stack([np.broadcast_to(means[:, :1, 0], means[:, :, 0].shape), means[:, :, 1]], 2)
    parts = {
        "score": number(values.mean(), "mean over the layers"),
        "input": Part(
            pairwise_alignment(entered, centred), "l", "text of each layer, image of the input"
        ),
    }
    return Result(values, "l", parts)


def _unit(x: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(norm > 0, norm, 1)
