"""Numbers of one layer that did not fit into a run's payload, sent when a view needs them.

Anybody can call server functions with any argument, so everything is checked.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tokviz.trace import Trace
from tokviz.view.encode import pack_map
from tokviz.view.overlay_maps import ROOM

from ..runs.runs import GONE
from ..site import Site

UNKNOWN = "These numbers were not recorded: the page asked for something unknown."
ARRAYS = {
    ("attention", False): "attention",
    ("attention", True): "attention_heads",
    ("tower", True): "cls_attention_heads",
}
"""(map, single heads) -> the array whose layer is sent."""


def layer_reader(site: Site) -> Callable[[Any], dict[str, Any]]:
    """Return the explorer's server function read_layer."""

    def read_layer(asked: Any) -> dict[str, Any]:
        """Return the rows of one layer of a run.

        Args:
            asked: {id, map, layer, heads}: "<run>:<lane>" as in the payload's id, "attention" or
                "tower", a layer, and whether single heads are wanted.

        Returns:
            {rows}: [t, n] or [t, h, n] of the language model, [g, n] of the vision tower, packed as
            in a payload; or {error}.
        """
        if not isinstance(asked, Mapping):
            return {"error": UNKNOWN}
        found = site.lane(asked.get("id"))
        if found is None:
            return {"error": GONE}
        rows = rows_of(found[0].traces[found[1]], asked)
        if rows is None:
            return {"error": UNKNOWN}
        # a map that is larger than the room is sent with one byte a number
        return {"rows": pack_map(rows, max(ROOM, rows.size))}

    return read_layer


def rows_of(trace: Trace, asked: Mapping[str, Any]) -> np.ndarray | None:
    """Return one layer of the array that is meant, or None where there is no such layer."""
    name = ARRAYS.get((str(asked.get("map")), asked.get("heads") is True), "")
    layer = asked.get("layer")
    if name not in trace or type(layer) is not int:
        return None
    array = trace[name]
    axis = 0 if name == "cls_attention_heads" else 1  # [u, g, n], or [t, l, ...]
    if not 0 <= layer < array.shape[axis]:
        return None
    return array.take(layer, axis)
