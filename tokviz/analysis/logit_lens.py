"""Which word would the language model say at each image token, after each layer?

The states of the visual tokens go through the final norm and the head. The last layer's states have
been through the final norm already and are not normed again. (Public implementations differ: one
norms the last layer twice, another never norms.)
"""

from __future__ import annotations

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.pick import check_index
from tokviz.analysis.result import Part, Result
from tokviz.trace import Trace


@analysis(
    "logit_lens",
    title="Logit lens",
    group="where the model looks",
    needs=("lens_ids", "lens_prob"),
    uses=("lens_peak", "lens_peak_layer"),
    meaning="Each visual token is read as the word that the model's head finds most probable in "
    "its state after this layer; bright = sure.",
    not_meaning="The head was trained on the last layer of text rows: early layers read as noise "
    "though they may hold the content.",
    exactness="exact",
    cost="No further run; the run itself multiplies the visual rows with the whole head in every "
    "layer. Memory: a few words with their probabilities per visual token and layer.",
)
def logit_lens(trace: Trace, *, layer: int = -1) -> Result:
    """Show the word that the logit lens reads at each visual token.

    `peak` holds, for each word of prompt and answer, the highest probability over all layers: the
    model's internal confidence that the word is in the picture.
    """
    ids, probability = trace["lens_ids"], trace["lens_prob"].astype(np.float32)
    layer = check_index("layer", layer, len(ids))
    parts = {
        "ids": Part(ids[layer], "n w", "the most probable words at each token, as token ids"),
        "prob": Part(probability[layer], "n w", "their probabilities"),
        "layers": Part(probability[..., 0], "l n", "probability of the best word in every layer"),
    }
    labels = {}
    if "lens_peak" in trace and "readout_ids" in trace:
        peak = trace["lens_peak"].astype(np.float32)
        parts["peak"] = Part(peak.T, "k n", "highest probability of each read-out word")
        parts["peak_layer"] = Part(trace["lens_peak_layer"].T, "k n", "the layer that gives it")
        parts["confidence"] = Part(peak.max(0, initial=0), "k", "the same over all tokens")
        labels["k"] = tuple(word_text(trace, int(token)) for token in trace["readout_ids"])
    best = ids[layer][:, :1]
    labels["n"] = tuple(word_text(trace, int(token)) for row in best for token in row)
    return Result(probability[layer][:, 0], "n", parts, labels)


def word_text(trace: Trace, token: int) -> str:
    """Return the text of a token id, or its number where the trace does not know the text."""
    return trace.words.get(token, f"#{token}")
