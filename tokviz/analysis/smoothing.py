"""Do the states of different tokens become alike with depth?

Attention is a low-pass filter over the rows: Length-Induced Embedding Collapse in Transformer-based
Models, arXiv 2410.24200; curves of token similarity by depth: Adapting LLaMA Decoder to Vision
Transformer, arXiv 2404.06773. Image and text are shown apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.analysis.supplied import plain
from tokviz.errors import InputError
from tokviz.trace import Trace
from tokviz.trace.schema import MODALITIES


@analysis(
    "smoothing",
    title="Likeness of tokens by depth",
    group="layer by layer",
    needs=(),
    asks=("state_curves",),
    forwards=lambda size: 1,
    meaning="High = at this layer's input the states of the image's (or the text's) tokens point "
    "into nearly the same direction.",
    not_meaning="Alike states may still differ in the few directions that the model reads.",
    exactness="exact",
    cost="One forward of the prompt, and a singular value decomposition per layer. Memory: one "
    "prefill.",
    paper="https://arxiv.org/abs/2410.24200",
    year=2024,
)
def smoothing(trace: Trace, state_curves: Callable[[], Mapping[str, np.ndarray]]) -> Result:
    """Measure how alike the tokens of the image, and of the text, are at the input of each layer.

    `similarity`, the main array, is the mean cosine of all pairs. `constant` is the low-pass share:
    how much of the squared length of all states is in their mean, 1 = they are all the same.
    `rank` is the effective rank (exp of the entropy of the normalised singular values). `rises` is
    by how much the image's similarity grows from the first layer to the last. Layers that compute
    only the last row of a prompt are NaN.
    """
    found = {name: plain(array) for name, array in state_curves().items()}
    layers = int(trace.model["layers"])
    for name, array in found.items():
        if array.shape != (layers, len(MODALITIES)):
            raise InputError(f"{name} must be [{layers}, {len(MODALITIES)}], got {array.shape}.")
    similarity = found["similarity"]
    there = similarity[~np.isnan(found["rank"]).any(1), 0]
    parts = {
        "constant": Part(found["constant"], "l m", "share of the squared length in the mean state"),
        "rank": Part(found["rank"], "l m", "effective rank of the states"),
        "rises": number(there[-1] - there[0], "change of the image's similarity"),
    }
    return Result(similarity, "l m", parts, {"m": MODALITIES})
