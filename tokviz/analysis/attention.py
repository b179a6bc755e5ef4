"""Where did the model look when it wrote each word?"""

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.pick import check_index
from tokviz.analysis.result import Part, Result
from tokviz.errors import MissingSignal
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import attention_layer, mean_over_layers


@analysis(
    "attention",
    title="Attention to the image",
    group="where the model looks",
    needs=("attention",),
    meaning="A bright token got much of the attention of the row that chose this answer token.",
    not_meaning="It does not mean that the token was used: values and later layers may cancel it, "
    "and sinks draw attention without content.",
    exactness="exact",
    cost="No further run. Memory: n numbers per answer token and layer.",
)
def attention(trace: Trace, *, layer: int | None = None, head: int | None = None) -> Result:
    """Show the attention of each answer token to each visual token.

    Without a layer the mean over all layers that have attention is taken, without a head the mean
    over heads; layers without attention are NaN in `share`. Rows are
    shares of the row's whole attention, so that they add up to the share that the image gets.
    Attention on a merged token is shared among its members; removed tokens get 0.
    """
    if head is None:
        per_layer = trace["attention"].astype(np.float32)
    elif "attention_heads" in trace:
        heads = trace["attention_heads"]
        per_layer = heads[:, :, check_index("head", head, heads.shape[2])].astype(np.float32)
    else:
        raise MissingSignal("this trace holds head means only; leave `head` empty.")
    if layer is None:
        values = mean_over_layers(per_layer, 1)
    else:
        values = per_layer[:, attention_layer(trace, layer, per_layer.shape[1])]
    share = Part(per_layer.sum(2), "t l", "share of the attention that falls on the image")
    return Result(values, "t n", {"share": share}, {"t": trace.pieces})
