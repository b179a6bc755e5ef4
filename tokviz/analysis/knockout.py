"""In which layers must the text be able to see the image?

Attention knockout: in a window of layers no text row may attend to the image, and the loss of the
answer's log-probability is measured. Unlike a share of attention, this is a causal statement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.errors import MissingSignal
from tokviz.options import Range, within
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import layer_gaps


@analysis(
    "knockout",
    title="Attention knockout",
    group="what the answer needs",
    needs=(),
    asks=("knockout",),
    forwards=lambda size, window, **options: max(size.layers - window, 0) + 2,
    meaning="High = cutting the text off the image in this window of layers makes the answer "
    "less probable.",
    not_meaning="A low value does not show that the window does nothing: other layers may carry "
    "the same information.",
    exactness="exact",
    cost="One teacher-forced forward per window, and one with nothing cut. Memory: one "
    "prefill, and the whole maps of one layer at a time.",
)
def knockout(
    trace: Trace,
    knockout: Callable[[range], float],
    *,
    window: Annotated[int, Range(1, 32, 1)] = 3,
) -> Result:
    """Measure how much the answer's log-probability falls when the text cannot see the image.

    Windows of consecutive layers slide by one; `layers` is the mean over the windows that cover
    a layer. In layers without attention nothing can be cut: windows with one are NaN, and what the
    text reads of the image there goes on.
    """
    layers = int(trace.model["layers"])
    within("window", window, 1, layers, f"the language model has {layers} layers")
    spans = [range(start, start + window) for start in range(layers - window + 1)]
    gaps = layer_gaps(trace)
    whole = [not any(layer in gaps for layer in span) for span in spans]
    if not any(whole):
        raise MissingSignal(
            f"every window of {window} holds a layer in which attention cannot be cut: layers "
            f"{', '.join(map(str, gaps))} have none ({', '.join(dict.fromkeys(gaps.values()))}). "
            "Give a smaller window."
        )
    base = float(knockout(range(0)))
    fall = np.array(
        [
            base - float(knockout(span)) if cuts else np.nan
            for span, cuts in zip(spans, whole, strict=True)
        ]
    )
    # [layers, windows], 1 where the window contains the layer
    covers = np.array([[layer in span for span in spans] for layer in range(layers)], float)
    parts = {
        "layers": Part(covered(fall, covers), "l", "mean over windows with this layer"),
        "base": number(base, "log-probability with nothing cut"),
    }
    labels = {"i": tuple(f"{span[0]} to {span[-1]}" for span in spans)}
    return Result(fall, "i", parts, labels)


def covered(fall: np.ndarray, covers: np.ndarray) -> np.ndarray:
    """Return the mean [l] over the windows that cover a layer; NaN where none was measured.

    Args:
        fall: [windows], NaN = not measured.
        covers: [l, windows], 1 where the window contains the layer.
    """
    measured = covers * np.isfinite(fall)
    count = measured.sum(1)
    total = measured @ np.nan_to_num(fall)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
