"""The theoretical cost of a schedule: the cost model of the published FLOPs percentages.

One layer over n tokens costs 4 n D^2 (four attention matrices) + 2 n^2 D (scores and values)
+ 3 n D m (a gated MLP of width m), in multiplications. FastV, SparseVLM, PyramidDrop and TransPrune
publish percentages that count only the visual tokens; the real computation includes the text, so it
saves less. A layer without attention (linear attention, a convolution) has no term n^2; its own
matrices are counted as four. This is theory; times are measured separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokviz.errors import InputError
from tokviz.reduction.method import Method, Stage
from tokviz.trace.stages import StageRecord


@dataclass(frozen=True)
class Shape:
    """The sizes that the cost depends on."""

    layers: int
    width: int
    "D, hidden size."
    mlp: int
    "m, intermediate size of the MLP."
    linear: frozenset[int] = frozenset()
    "Layers without attention."


LLAVA_7B = Shape(32, 4096, 11008)
"""The language model of the published percentages."""


def layer_cost(
    tokens: float, shape: Shape, places: float | None = None, attends: bool = True
) -> float:
    """Return the multiplications of one decoder layer over `tokens` rows.

    Args:
        tokens: rows.
        shape: sizes of the language model.
        places: rows inside attention, where each token stands at several places (DyMU).
        attends: whether the layer has attention.
    """
    d, m, attended = shape.width, shape.mlp, tokens if places is None else places
    pairs = 2 * attended * attended * d if attends else 0
    return 4 * attended * d * d + pairs + 3 * tokens * d * m


def cost_of(counts: Sequence[float], shape: Shape) -> float:
    """Return the multiplications of layers over so many rows each, [l]."""
    return sum(
        layer_cost(rows, shape, attends=layer not in shape.linear)
        for layer, rows in enumerate(counts)
    )


def tokens_per_layer(n: int, stages: Sequence[Stage], layers: int) -> list[int]:
    """Return the number of visual tokens in each layer [l]; a stage decides before its layer.

    Raises:
        InputError: a stage is not at a layer of the model.
    """
    counts, now, left = [], n, {stage.layer: stage.keep for stage in stages}
    if left and not 0 <= min(left) <= max(left) < layers:
        raise InputError(f"stages must lie in layers 0 to {layers - 1}, got {sorted(left)}.")
    for layer in range(layers):
        now = left.get(layer, now)
        counts.append(now)
    return counts


def share(counts: Sequence[float], n: int, shape: Shape, text: int = 0) -> float:
    """Return the cost of a prefill relative to keeping every token.

    Args:
        counts: [l], visual tokens in each layer.
        n: visual tokens without any reduction.
        shape: sizes of the language model.
        text: other rows of the prompt; 0 = the convention of the published percentages.
    """
    return cost_of([count + text for count in counts], shape) / cost_of(
        [n + text] * len(counts), shape
    )


def prefill_share(
    method: Method, n: int, keep: int, shape: Shape = LLAVA_7B, text: int = 0, **options: Any
) -> float:
    """Return the theoretical prefill cost under a method's schedule, relative to every token.

    For methods before or inside the vision tower only the language model is counted. Masks save
    nothing, and a method that restarts the prefill also costs the layers of the first pass. Methods
    that may choose fewer tokens than the budget can cost less than this.

    Args:
        method: an entry of METHODS.
        n: visual tokens without any reduction.
        keep: the budget.
        shape: sizes of the language model.
        text: other rows of the prompt.
        **options: the method's own options.
    """
    if method.place != "language_model":
        return share([keep if method.removes else n] * shape.layers, n, shape, text)
    stages = method.stages(n, keep, shape.layers, **options)
    if method.effect in ("mask", "decode"):
        return 1.0
    if method.effect == "restart":
        first = stages[0].layer / shape.layers
        return first + share([keep] * shape.layers, n, shape, text)
    return share(tokens_per_layer(n, stages, shape.layers), n, shape, text)


def tokens_seen(records: Sequence[StageRecord], n: int, layers: int) -> list[int]:
    """Return the number of visual tokens that each layer of the language model processed, [l].

    Args:
        records: the stages that were carried out, in order.
        n: visual tokens without any reduction.
        layers: layers of the language model.
    """
    counts = [n] * layers
    for record in records:
        left = record.reduction.m + bool(record.reduction.prefix_cls)
        first = 0 if record.layer is None or record.effect == "restart" else record.layer
        if record.place != "language_model" and record.effect != "remove":
            continue  # copied back before the language model
        if record.effect in ("remove", "restart", "bypass"):
            counts[first:] = [left] * (layers - first)
    return counts


def run_share(
    records: Sequence[StageRecord], n: int, shape: Shape, text: int = 0, unmerged: bool = False
) -> float:
    """Return the cost of the prefill that was carried out, relative to keeping every token.

    Args:
        records: the stages that were carried out, in order.
        n: visual tokens without any reduction.
        shape: sizes of the language model.
        text: other rows of the prompt; 0 = the convention of the published percentages.
        unmerged: attention read merged tokens at the places of all n.
    """
    scouted = [r.layer or 0 for r in records if r.effect == "restart"]
    seen = tokens_seen(records, n, shape.layers)
    if unmerged:
        cost = sum(layer_cost(count + text, shape, n + text) for count in seen)
        return cost / (len(seen) * layer_cost(n + text, shape))
    return share(seen, n, shape, text) + sum(scouted) / shape.layers
