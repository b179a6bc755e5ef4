"""Following a plan up to the language model's door: what arrives there, and from which tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from tokviz.models.decoder import DecoderStages
from tokviz.models.family import Family, Features
from tokviz.models.part_signals import carried
from tokviz.models.record import Arrival
from tokviz.models.travel import Travel
from tokviz.models.vision import Vision
from tokviz.models.windows import Windows, sliding_layers
from tokviz.plans import Plan
from tokviz.records import StageRecord

if TYPE_CHECKING:
    from tokviz.models.run import Prepared


@dataclass
class Arrived:
    """What enters layer 0 of the language model, and how it came to be."""

    input_ids: torch.Tensor
    "[1, rows], placeholders of removed tokens left out."
    positions: torch.Tensor
    "[..., 1, rows]"
    row_inputs: dict[str, torch.Tensor]
    "Further inputs [1, rows] of the model, such as token types."
    features: Features
    "Of the m visual tokens."
    stages: DecoderStages
    arrival: Arrival
    records: list[StageRecord]
    encode_seconds: float
    decide_seconds: float
    notes: list[str]


def route(
    family: Family, model: nn.Module, prepared: Prepared, shared: Vision, plan: Plan
) -> Arrived:
    """Carry out the steps in the tower and before the language model; set up those inside it.

    Raises:
        InputError: a budget out of range.
        MissingSignal: a method needs what this model does not have.
    """
    layout = prepared.asked.layout
    for step in plan.steps:
        if step.entry is not None:
            step.entry.check_images(len(layout.sizes))
    travel = Travel(family, model, prepared, shared)
    for step in plan.at("tower"):
        travel.through_tower(step)
    for step in plan.at("before"):
        travel.before(step)
    inside = next(iter(plan.at("language_model")), None)
    repack = any(s.position_policy == "repack" for s in plan.steps if s.place != "language_model")
    keep, features = travel.whole.position, travel.features
    rows = np.sort(np.concatenate([travel.text_rows(), layout.position[keep]]))
    visual = np.flatnonzero(np.isin(rows, layout.position[keep]))
    cls_row = None
    if travel.whole.prefix_cls:
        features = travel.with_cls(features)
        cls_row = int(visual[0])
        rows, visual = np.insert(rows, cls_row, rows[cls_row]), visual + 1
    index = torch.as_tensor(rows, device=prepared.positions.device)
    positions = prepared.positions[..., index]
    if repack and travel.whole.m < layout.n:
        packed = torch.arange(len(rows), device=positions.device)
        positions = prepared.positions[..., :1] + packed
    decoder = family.decoder(model)
    stages = DecoderStages(
        decoder,
        inside,
        travel.inside_stages(inside, len(decoder.layers)),  # type: ignore[arg-type]
        torch.as_tensor(visual, device=index.device),
        len(rows),
        keep,
        int(positions.reshape(-1, len(rows))[0, -1]) + 1,
        family.head_weight(model),
        carried(travel, inside),
        partial(family.rotary, decoder),
        windows(family, model, prepared, index, repack),
        partial(family.cap_logits, model),
    )
    ids = prepared.inputs["input_ids"]
    return Arrived(
        ids[:, index],
        positions,
        {
            name: value[:, index]
            for name, value in prepared.inputs.items()
            if value.shape == ids.shape and name not in ("input_ids", "attention_mask")
        },
        features,
        stages,
        Arrival(travel.whole, rows, visual, cls_row),
        travel.records,
        travel.encode_seconds,
        travel.decide_seconds,
        travel.notes,
    )


def windows(
    family: Family, model: nn.Module, prepared: Prepared, rows: torch.Tensor, repack: bool
) -> Windows | None:
    """Return the sliding windows of the sequence made of these rows; None without any."""
    decoder, total = family.decoder(model), prepared.positions.shape[-1]
    if not sliding_layers(decoder):
        return None
    if not repack:
        return Windows(decoder, rows, total, partial(family.window_mask, model, prepared.inputs))

    def build(places: torch.Tensor) -> torch.Tensor | None:
        return family.window_mask(model, prepared.inputs, rows[places])

    return Windows(decoder, torch.arange(len(rows), device=rows.device), len(rows), build)
