"""ToDRE, stage 2: remove the image once the text hardly attends to it."""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts.exits import leave
from tokviz.reduction.parts.schedules import at_layer, clamped
from tokviz.torch_on_use import torch


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
    """Remove every visual token once the text hardly attends to the image.

    It is checked before each layer from seven eighths of the depth on: as soon as the text's mean
    attention to the image is below a tenth of that of the largest layer, all visual tokens are
    removed. Until then all stay. The budget is not published: with `everything` off, `keep` tokens
    are kept, those that the last row attends to most. keep = all tokens switches the exit off.

    A stand-in: no code is public, and the rows and the ratio of the paper are not known.
    Stage 1, before the language model, is the method "todre".
    """
    score, mass = signals["llm_attn_last"].mean(0), signals["llm_text_mass"]
    last = exit_layer(mass, int(start * int(signals["num_layers"])), threshold)
    if last is None:
        note = "The text still attends to the image: nothing is removed at this layer."
        return leave(score, len(score), everything, (note,))
    note = f"In layer {last} the text's attention to the image was below {threshold:g} of its peak."
    return leave(score, keep, everything, (note,))
