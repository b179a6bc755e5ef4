"""The maps in an overlay's payload: attention, vision tower and sinks, within a size limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tokviz.analysis.cls_attention import layers_of
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import attending, layer_gaps
from tokviz.trace.schema import BLOCKS
from tokviz.view.encode import pack, pack_map
from tokviz.view.words import text_tokens

ROOM = 3 * 2**19
"""Largest number of bytes of the head-mean map, and again of the maps of single heads."""

NO_ATTENTION = "This run recorded no attention rows."
NO_TOWER = "This run recorded no attention of the vision tower."
NO_PHI = "This run recorded no sink statistic."
NO_CLS = (
    "This vision tower has no [CLS] token: shown is the mean attention that each patch receives."
)


def attention_fields(trace: Trace, missing: dict[str, str]) -> dict[str, Any]:
    """Return attention, single heads and shares; `missing` gets the reason of each null map."""
    fields: dict[str, Any] = dict.fromkeys(
        ("attention", "attention_layers", "gaps", "heads", "share", "before")
    )
    fields["head_count"] = 0
    if "attention" not in trace or not trace.t:
        missing["attention"] = NO_ATTENTION
        return fields
    words, count, tokens = trace["attention"].shape
    own = attending(trace, count)
    layers = own[fitting_layers((words, len(own), tokens), ROOM)]
    fields["gaps"] = gaps_of(trace, count)
    if len(layers) == count:
        fields["attention"] = pack_map(trace["attention"], ROOM)
    else:
        some = trace["attention"][:, layers]
        fields["attention"] = pack_map(some, max(ROOM, some.size))
        fields["attention_layers"] = layers.tolist()
    fields["share"] = pack(image_share(trace), "f2")
    if "mass" in trace:
        fields["before"] = pack(share_before(trace), "f2")
    if "attention_heads" in trace:
        fields["heads"] = pack_map(trace["attention_heads"], ROOM)
        fields["head_count"] = trace["attention_heads"].shape[2]
    if fields["heads"] is None:
        missing["heads"] = "Single heads were not recorded, or are too large for the browser."
    return fields


def gaps_of(trace: Trace, count: int) -> dict[str, str] | None:
    """Return the layers without attention as JSON has them, number -> kind; None for no such layer.

    Args:
        trace: the run.
        count: layers of its maps.
    """
    gaps = {str(layer): kind for layer, kind in layer_gaps(trace, count).items()}
    return gaps or None


def fitting_layers(shape: Sequence[int], room: int) -> np.ndarray:
    """Return the layers of a map [t, l, n] that fit into `room` bytes, evenly spaced, ascending.

    With one byte per number. The second to last layer, with which a view opens, is always included,
    even if it does not fit.
    """
    words, count, tokens = shape
    fit = min(room // max(words * tokens, 1), count)
    if fit == count:
        return np.arange(fit)
    first = max(count - 2, 0)
    return np.unique(np.linspace(first, 0, max(fit, 1)).round().astype(int))


def mean_fields(trace: Trace, sinks: np.ndarray | None) -> dict[str, Any]:
    """Return attention [1, l, n], mean over the answer tokens that are text, and the sinks."""
    if "attention" not in trace or not trace.t:
        return {}
    mean = trace["attention"][text_tokens(trace)].astype(np.float32).mean(0, keepdims=True)
    return {
        "words": [{"text": trace.answer, "lead": False, "special": False, "part": False}],
        "attention": pack_map(mean, ROOM),
        "gaps": gaps_of(trace, mean.shape[1]),
        "sinks": None if sinks is None else pack(sinks, "u1"),
    }


def image_share(trace: Trace) -> np.ndarray:
    """Return [t, l], the share of attention on all visual tokens, mean over heads."""
    if "mass" in trace:
        return trace["mass"][..., 1].astype(np.float32).mean(2)
    return np.nansum(trace["attention"].astype(np.float32), 2)


def share_before(trace: Trace) -> np.ndarray:
    """Return [t, l], the share of attention on the prompt before the image, mean over heads."""
    return trace["mass"][..., BLOCKS.index("before")].astype(np.float32).mean(2)


def tower_fields(trace: Trace, missing: dict[str, str]) -> dict[str, Any]:
    """Return the vision tower's attention maps; `missing` gets the reasons of null ones."""
    fields: dict[str, Any] = {"tower": None, "tower_heads": None, "tower_kind": "cls"}
    fields |= {"tower_layers": None, "tower_head_count": 0}
    if "cls_attention" in trace:
        fields["tower"] = pack_map(trace["cls_attention"], ROOM)
        if "cls_attention_heads" in trace:
            fields["tower_heads"] = pack_map(trace["cls_attention_heads"], ROOM)
            fields["tower_head_count"] = trace["cls_attention_heads"].shape[1]
    elif "received_attention" in trace:
        fields["tower"] = pack_map(trace["received_attention"], ROOM)
        fields["tower_kind"] = "received"
        fields["tower_layers"] = layers_of(trace)
        missing["cls"] = NO_CLS
    else:
        missing["tower"] = NO_TOWER
    return fields


def sink_fields(trace: Trace, sinks: np.ndarray | None, missing: dict[str, str]) -> dict[str, Any]:
    """Return the sink statistic of the visual tokens [l, n] and the sinks."""
    fields: dict[str, Any] = {"phi": None, "sinks": None}
    if "sink_phi" in trace:
        positions = trace["token_position"]
        if len(positions) and positions.min() >= 0 and positions.max() < len(trace.prompt_tokens):
            fields["phi"] = pack(trace["sink_phi"][:, positions], "f2")
    if fields["phi"] is None:
        missing["phi"] = NO_PHI
    if sinks is not None:
        fields["sinks"] = pack(sinks, "u1")
    return fields
