"""The payload of the viewer: the overlay of one run, and analyses of the same trace.

The analyses are Token Activation Maps, attention sinks and registers. If the trace lacks an array,
the analysis is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tokviz.analysis import analyse
from tokviz.errors import TokvizError
from tokviz.trace import Trace
from tokviz.view.overlay import overlay_payload
from tokviz.view.overlay_maps import share_before

NO_SINK_TEST = (
    "No sink dimensions are known for this model, so no visual token can be called a sink."
)
MUCH = 2.5
"""The tokens before the image are called a sink if they get this many times an even share."""
NO_SINKS = "No attention sinks were found among the visual tokens of this run."


def explorer_payload(
    trace: Trace,
    run_id: str,
    *,
    title: str = "",
    view: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the payload of the explorer.

    Args:
        trace: the run.
        run_id: name of the run, unique on its page.
        title: heading.
        view: how to open it; see `overlay_payload`.
    """
    sinks, note = find_sinks(trace)
    maps, lacking = token_maps(trace)
    payload = overlay_payload(
        trace,
        run_id,
        title=title,
        tam=maps,
        sinks=sinks,
        sink_note=note,
        registers=find_registers(trace),
        view=view,
    )
    if lacking:
        payload["missing"]["tam"] = lacking
    return payload


def token_maps(trace: Trace) -> tuple[np.ndarray | None, str]:
    """Return the Token Activation Map of every answer token [t, n], or None and why not."""
    try:
        result = analyse("tam", trace)
    except TokvizError as error:
        return None, str(error)
    return (result.values, "") if result.axes == "t n" else (None, "")


def find_sinks(trace: Trace) -> tuple[np.ndarray | None, str]:
    """Return the attention sinks, bool [l, n], and what is said about them and those before it."""
    try:
        result = analyse("sinks", trace)
    except TokvizError:
        return None, f"{NO_SINK_TEST}{sink_before(trace)}"
    mask = result.values.astype(bool)
    if not mask.any():
        return mask, f"{NO_SINKS}{sink_before(trace)}"
    count = int(mask.any(0).sum())
    are = "token is an attention sink" if count == 1 else "tokens are attention sinks"
    return mask, (
        f"{count} {are} in some layer: they carry a massive activation and draw attention whatever "
        "they show, so they are hatched, and left out of the colours of attention."
        f"{sink_before(trace)}"
    )


def sink_before(trace: Trace) -> str:
    """Return a sentence about the attention on the tokens before the image, or ''."""
    if "mass" not in trace or not trace.t or not trace.n:
        return ""
    share = share_before(trace).mean(0)
    layer, count = int(np.nan_to_num(share).argmax()), int(trace["token_position"].min())
    even = count / len(trace.prompt_tokens)
    if not 0 < MUCH * even < share[layer]:
        return ""
    return (
        f" Outside the image there is one: the {count} tokens before it take "
        f"{100 * share[layer]:.0f} % of the attention in layer {layer}, "
        f"{share[layer] / even:.0f} times an even share."
    )


def find_registers(trace: Trace) -> np.ndarray | None:
    """Return the patches that the vision tower uses as registers, bool [n], or None."""
    try:
        return analyse("registers", trace).values.astype(bool)
    except TokvizError:
        return None
