"""Where a method decides in a decoder whose last layers read the keys of earlier ones.

No token can be removed after the first of the layers whose keys the last ones read (see
`models/families/shared_keys.py`). So a published schedule is laid on the layers up to that one: a
stage at half the depth is at half of their number. This is said where it moves a stage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from tokviz.errors import InputError, MissingSignal
from tokviz.models.families.layer_kinds import listed
from tokviz.models.families.shared_keys import keyed_layers, removing_layers
from tokviz.reduction import Stage
from tokviz.reduction.method import Method


def early_stages(
    entry: Method, schedule: Callable[[int], list[Stage]], decoder: nn.Module
) -> tuple[list[Stage], str]:
    """Return where a method decides, and a clause about the stages that were moved, or "".

    Args:
        entry: a method inside the language model.
        schedule: number of layers -> the published schedule for this depth, ascending.
        decoder: the text decoder.

    Raises:
        InputError: an option names a layer before which no token can be removed.
        MissingSignal: it cannot act in this decoder.
    """
    layers: Any = decoder.layers
    count, usable, whole = len(layers), removing_layers(decoder), keyed_layers(decoder)
    published = schedule(count)
    try:
        stages = schedule(usable)
    except InputError as error:
        last = max(stage.layer for stage in published)
        raise InputError(
            f"{entry.title} would decide before layer {last}, and in this model it can do so "
            f"before layers 1 to {usable - 1} only: the layers from {whole} on read the keys of "
            f"layer {usable - 1} and later ones. Choose an earlier layer."
        ) from error
    if any(stage.layer >= usable for stage in stages):
        raise MissingSignal(
            f"{entry.title} decides at fixed layers, and in this model it can do so before layers "
            f"1 to {usable - 1} only: the layers from {whole} on read the keys of layer "
            f"{usable - 1} and later ones. Choose another method."
        )
    ours, theirs = ([stage.layer for stage in one] for one in (stages, published))
    if ours == theirs:
        return stages, ""
    return stages, (
        f"it decides before {listed(ours)} of {count}, not {listed(theirs)}: the layers from "
        f"{whole} on read the keys of layer {usable - 1} and later ones"
    )
