"""ToDRE, stage 2: when has the text read all it needs from the image?"""

from typing import Annotated

import torch

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts.exits import leave
from tokviz.reduction.parts.schedules import at_layer, clamped


def exit_layer(mass: torch.Tensor, start: int, threshold: float) -> int | None:
    """Return the first layer from `start` on whose mass is below a share of the largest, or None.

    Args:
        mass: [l], attention of the text to the image in each layer.
        start: first layer that may be the last with the image.
        threshold: share of the largest mass.
    """
    low = torch.nonzero(mass < threshold * mass.max()).flatten()
    low = low[low >= start]
    return int(low[0]) if len(low) else None


START = 0.875
"""Share of the depth at which the search for the exit begins, as published."""


def _schedule(n: int, keep: int, layers: int, **options):
    first = int(options["start"] * layers) + 1  # after the layer that was looked at
    if options["start"] == START:
        first = clamped(first, layers)
    first = at_layer("start * layers + 1", first, layers)
    return [Stage(layer, keep) for layer in range(first, layers)]


@method(
    "todre_exit",
    title="ToDRE stage 2",
    place="language_model",
    needs=("llm_text_mass", "llm_attn_last", "num_layers"),
    paper="https://arxiv.org/abs/2505.18757",
    year=2025,
    rest="todre",
    query_aware=True,
    positions="keep",
    adaptive=True,
    verified=False,
    schedule=_schedule,
)
def todre_exit(
    signals,
    keep: int,
    *,
    start: Annotated[float, Range(0, 1, 0.005)] = START,
    threshold: Annotated[float, Range(0, 1, 0.01)] = 0.1,
    everything: bool = True,
) -> Reduction:
    """Drop every visual token once the text has nearly stopped attending to the image.

    Looked at before each layer from seven eighths of the depth on: as soon as the text's mean mass
    on the image has been below a tenth of the largest layer's, all visual tokens leave. Until then
    all stay. The budget is not published: with `everything` off, `keep` tokens stay behind, those
    that the last row attends to most. keep = all tokens switches the exit off.

    A stand-in: no code is public, and which rows and which ratio the paper takes was not readable.
    Stage 1, before the language model, is the method "todre".
    """
    score, mass = signals["llm_attn_last"].mean(0), signals["llm_text_mass"]
    last = exit_layer(mass, int(start * int(signals["num_layers"])), threshold)
    if last is None:
        note = "The text still attends to the image: nothing leaves at this layer."
        return leave(score, len(score), everything, (note,))
    note = f"In layer {last} the text's attention to the image was below {threshold:g} of its peak."
    return leave(score, keep, everything, (note,))
