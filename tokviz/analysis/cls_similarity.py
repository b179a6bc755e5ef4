"""Which patches resemble the vision tower's summary of the image?"""

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.pick import check_index
from tokviz.analysis.result import Part, Result
from tokviz.trace import Trace


@analysis(
    "cls_similarity",
    title="Similarity to [CLS]",
    group="where the model looks",
    needs=("cls_similarity",),
    meaning="A bright patch's state points the same way as the tower's [CLS] state.",
    not_meaning="[CLS] and patch states are trained for different purposes: it says nothing about "
    "the question, and registers come out bright.",
    exactness="exact",
    cost="No further run. Memory: n numbers per tower layer.",
)
def cls_similarity(trace: Trace, *, layer: int | None = None) -> Result:
    """Show the cosine of the [CLS] state and each patch after a tower layer.

    Without a layer: the one whose output the language model gets.
    """
    layers = trace["cls_similarity"].astype(np.float32)
    if layer is None:
        layer = int(trace.model.get("feature_layer", len(layers) - 1))
    values = layers[check_index("layer", layer, len(layers))]
    return Result(values, "n", {"layers": Part(layers, "u n", "the same after every layer")})
