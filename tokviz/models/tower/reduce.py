"""Token reduction inside the vision tower: from a prompt's tiles to the tokens that are kept.

The blocks themselves run in `tokviz.models.tower.run_blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tokviz.errors import InputError, MissingSignal
from tokviz.matrix import Reduction
from tokviz.models.apply_reduction import apply_reduction
from tokviz.models.families.family import Family, Features, Inputs
from tokviz.models.tower.blending import blended
from tokviz.models.tower.record_signals import TOWER_SIGNALS
from tokviz.models.tower.row import TowerRow
from tokviz.models.tower.run_blocks import TowerRun
from tokviz.models.tower.vision import Vision
from tokviz.plans import Step
from tokviz.trace.layout import Layout

OF_CLS = {"cls_attn", "cls_logits"}
"""Signals that only a tower with a [CLS] token gives."""
GIVEN = {*TOWER_SIGNALS}


@dataclass(frozen=True)
class Encoded:
    """The tokens of all tiles after a method inside the tower, m in all."""

    kept: list[np.ndarray]
    "Per tile, the tokens that are kept, as numbers among the tile's tokens, ascending."
    reductions: list[Reduction]
    "Per tile; for a method that un-merges, the reduction of its last layer."
    features: Features
    "Of the kept tokens, tile after tile."
    pre: torch.Tensor
    "The same before the projector, [m, d_pre]."
    cls_attn: dict[int, torch.Tensor]
    "Tower layer -> [h, m], only of layers whose tokens were the final ones."
    cls_state: torch.Tensor | None
    "[tiles, d_v], as in `Vision`."
    seconds: float
    "Time that the method took to decide."
    supplied: set[str]
    "Names of the signals that the decisions were given."


def encode_reduced(
    family: Family,
    model: nn.Module,
    inputs: Inputs,
    shared: Vision,
    layout: Layout,
    tiles: Sequence[tuple[np.ndarray, int]],
    step: Step,
) -> Encoded:
    """Run the tower with a method inside it.

    Args:
        family: the model's family.
        model: the model.
        inputs: the processor's output.
        shared: the run on all tokens; this run starts from the states that entered its first block.
        layout: the layout before any reduction.
        tiles: per tile, the numbers of its visual tokens and how many of them to keep.
        step: a step whose method acts in the tower.

    Raises:
        InputError: tokens cannot be removed in this model's tower, or not for this prompt.
        MissingSignal: the method needs a [CLS] token, and the tower has none.
    """
    refusal = family.tower_refusal(model, layout, shared.sources)
    if refusal:
        raise InputError(refusal)
    lacking = step.entry.missing(GIVEN if family.has_cls(model) else GIVEN - OF_CLS)  # type: ignore[union-attr]
    if OF_CLS & set(lacking):
        raise MissingSignal(
            f"{step.title} cannot run here: it compares patches with the [CLS] token, and the "
            f"vision tower of {family.title} has none."
        )
    lengths, real = family.image_patches(model, inputs), family.tower_lengths(model, inputs)
    follow = family.tower_follow(model, inputs, shared.entered[1])  # type: ignore[index]
    masked = shared.entered[1].get("attention_mask") is not None  # type: ignore[index]
    if masked and not follow and real is None:
        raise InputError(
            "the processor padded this picture and the vision tower hides the padding, which "
            "reduction inside the tower cannot do yet. Choose a method that acts before or inside "
            "the language model."
        )
    layers = family.feature_layer(model) + 1
    rows = []
    for (tokens, keep), states, own, units in _tower_rows(shared, lengths, real, follow, tiles):
        tile = layout.tiles[layout.tile[tokens[0]]]
        try:
            stages = step.entry.stages(len(tokens), keep, layers, **step.options)  # type: ignore[union-attr]
        except InputError as error:
            if len(tiles) == 1:
                raise
            raise InputError(
                f"{step.title} decides in each of {len(tiles)} tiles on its own, and one of them "
                f"was to keep {keep} of {len(tokens)}: {error}"
            ) from error
        by_layer = {stage.layer: stage for stage in stages}
        skip = int(family.has_cls(model))
        rows.append(TowerRow(states, skip, units, own, (tile.rows, tile.cols), by_layer))
    run = TowerRun(family, model, step, rows, packed=lengths is not None)
    run.run()
    return _encoded(family, model, run, shared, [tokens for tokens, _ in tiles])


def _tower_rows(
    shared: Vision,
    lengths: list[int] | None,
    real: list[int] | None,
    follow: Mapping[str, torch.Tensor],
    tiles: Sequence[tuple[np.ndarray, int]],
) -> Iterator[tuple[tuple[np.ndarray, int], torch.Tensor, dict[str, torch.Tensor], torch.Tensor]]:
    """Yield, tile by tile: (tokens, keep), the states [p, d], follow, and units [u, k].

    `real`: the patches of each row that are not padding.
    """
    states, _ = shared.entered  # type: ignore[misc]
    starts = np.cumsum([0, *lengths]) if lengths else None
    if lengths:
        states = states.flatten(0, -2)  # Qwen's towers give [p, d], Pixtral's [1, p, d]
    for tokens, keep in tiles:
        index = shared.sources.leaving(tokens)
        if starts is None:
            row = int(index[0, 0]) // shared.sources.patches
            # flat patch numbers run over all rows; units count within a row
            # padding is hidden from the patches: without it they are the same
            begin, own = row * shared.sources.patches, states[row][: real[row] if real else None]
            rest = {name: value[row] for name, value in follow.items()}
        else:
            row = int(np.searchsorted(starts, index[0, 0], side="right")) - 1
            begin, end = int(starts[row]), int(starts[row + 1])
            own, rest = states[begin:end], {k: v[begin:end] for k, v in follow.items()}
        units = torch.as_tensor(index - begin, device=states.device)
        yield (tokens, keep), own, rest, units


def _encoded(
    family: Family,
    model: nn.Module,
    run: TowerRun,
    shared: Vision,
    tokens: Sequence[np.ndarray],
) -> Encoded:
    """Return the tokens after the last layer, in raster order within each tile."""
    orders = [np.argsort(row.whole.position, kind="stable") for row in run.rows]
    places = [
        torch.as_tensor(order, device=row.units.device)
        for row, order in zip(run.rows, orders, strict=True)
    ]
    pairs = list(zip(run.rows, places, strict=True))
    if shared.sources.weight is None:
        pre = family.tower_leave(model, torch.cat([run.squares(row)[at] for row, at in pairs]))
        beside = family.tower_beside(model, shared.pre)
        if beside is not None:
            left = [
                apply_reduction(beside[own], row.whole)[at]
                for (row, at), own in zip(pairs, tokens, strict=True)
            ]
            pre = torch.cat([pre, torch.cat(left)], -1)
        made = family.project(model, pre)
    else:
        pre, made = blended(family, model, run.rows, tokens, shared.sources)
        # place within each tile -> place among the tokens of all tiles
        at = torch.cat([at + begin for at, begin in zip(places, begins(places), strict=True)])
        pre, made = pre[at], made[at]
    deep = [[one[at] for one in row.deep] for row, at in pairs]
    extra = tuple(torch.cat(layer) for layer in zip(*deep, strict=True))
    cls_attn = [_final_cls_attn(row, at, run.unmerges) for row, at in pairs]
    common = set.intersection(*(set(one) for one in cls_attn))
    states = [run.cls_state(row) for row in run.rows if row.skip]
    last = [row.latest[1] if row.latest and run.unmerges else row.whole for row in run.rows]
    return Encoded(
        [row.whole.position[order] for row, order in zip(run.rows, orders, strict=True)],
        [one.in_raster_order() for one in last],
        Features(made, extra),
        pre,
        {layer: torch.cat([one[layer] for one in cls_attn], -1) for layer in sorted(common)},
        torch.stack(states) if states else None,
        sum(row.seconds for row in run.rows),
        run.supplied,
    )


def begins(parts: Sequence[torch.Tensor]) -> list[int]:
    """Return where each part starts when they follow each other."""
    return [0, *np.cumsum([len(part) for part in parts])[:-1].tolist()]


def _final_cls_attn(row: TowerRow, order: torch.Tensor, unmerges: bool) -> dict[int, torch.Tensor]:
    """Return the [CLS] attention of the layers whose tokens are the final ones, [h, u] each.

    In the layer of the last stage, attention comes before the reduction; there a merged token gets
    the sum over its members.
    """
    values = dict(row.cls_attn)
    layer, done = row.latest or (-1, row.whole)
    if layer in values and done.m == len(order) and not unmerges:
        # [h, u before] @ [u before, u] -> [h, u]
        support = torch.as_tensor(done.matrix() != 0, device=order.device).float()
        values[layer] = values[layer] @ support.T
    return {i: v[..., order] for i, v in values.items() if v.shape[-1] == len(order)}
