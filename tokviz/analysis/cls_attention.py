"""What does the vision tower itself find important?"""

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.pick import check_index
from tokviz.analysis.result import Part, Result, number
from tokviz.errors import MissingSignal
from tokviz.trace import Trace

NO_CLS = "This tower has no [CLS] token: shown is the mean attention that each patch receives."


@analysis(
    "cls_attention",
    title="[CLS] attention",
    group="where the model looks",
    needs=("cls_attention",),
    fallbacks={"cls_attention": "received_attention"},
    meaning="A bright patch got much of the attention of the tower's [CLS] token in this layer.",
    not_meaning="It knows nothing of the question, and in late layers it favours registers: "
    "patches that hold global instead of local information.",
    exactness="exact",
    cost="No further run. Memory: n numbers per tower layer.",
)
def cls_attention(trace: Trace, *, layer: int | None = None, head: int | None = None) -> Result:
    """Show the attention of the vision tower's [CLS] token to each patch.

    Without a layer: the one whose output the language model gets. Without a head: the mean over
    heads. Values are not renormalised: the rest up to 1 is the [CLS] token's attention to itself.
    """
    if "cls_attention" not in trace:
        return received(trace, layer, head)
    layers = trace["cls_attention"]
    if layer is None:
        layer = int(trace.model.get("feature_layer", len(layers) - 1))
    layer = check_index("layer", layer, len(layers))
    values = layers[layer]
    if head is not None:
        if "cls_attention_heads" not in trace:
            raise MissingSignal("this trace holds head means only; leave `head` empty.")
        heads = trace["cls_attention_heads"][layer]
        values = heads[check_index("head", head, len(heads))]
    values = values.astype(np.float32)
    parts = {
        "layers": Part(layers.astype(np.float32), "u n", "head mean in every layer"),
        "share": number(values.sum(), "sum over all patches of the image"),
    }
    return Result(values, "n", parts)


def received(trace: Trace, layer: int | None, head: int | None) -> Result:
    """Show the mean attention that each patch receives, in the feature layer or another.

    Raises:
        MissingSignal: it was not recorded in that layer, nor for single heads.
    """
    if head is not None:
        raise MissingSignal("this trace holds head means only; leave `head` empty.")
    recorded = layers_of(trace)
    if layer is None:
        layer = int(trace.model.get("feature_layer", recorded[-1]))
        layer = layer if layer in recorded else recorded[-1]
    layer = check_index("layer", layer, int(trace.model.get("tower_layers", recorded[-1] + 1)))
    if layer not in recorded:
        raise MissingSignal(
            f"the attention that patches receive was recorded in tower layer "
            f"{', '.join(map(str, recorded))}, not in {layer}: answer again with "
            "capture=Capture(tower_layers=True)."
        )
    values = trace["received_attention"][recorded.index(layer)].astype(np.float32)
    parts = {
        "layers": Part(
            trace["received_attention"].astype(np.float32), "r n", "in every recorded layer"
        ),
        "share": number(values.sum(), "sum over all patches of the image"),
    }
    return Result(values, "n", parts, notes=(NO_CLS,))


def layers_of(trace: Trace) -> list[int]:
    """Return the tower layers whose received attention a trace holds."""
    if "received_layers" in trace:
        return trace["received_layers"].tolist()
    return list(range(len(trace["received_attention"])))
