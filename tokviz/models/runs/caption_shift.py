"""What heads put out more for a caption of the picture than for the question asked (CAI)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.errors import InputError
from tokviz.mitigation import HeadShift
from tokviz.models.attention import observed
from tokviz.models.attention_call import AttentionCall
from tokviz.models.decoder.head_shift import ShiftedHeads, joining
from tokviz.models.families.family import Features
from tokviz.models.families.layer_kinds import attending_layers
from tokviz.models.hooks import hooked
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.preparing import prepare
from tokviz.models.runs.teacher_forcing import TeacherForcing


@dataclass(frozen=True)
class LastRow:
    """What the heads did for the last row of a prompt, in the l layers that have attention."""

    outputs: list[torch.Tensor]
    "For each layer [h, d], before the heads are joined; in Gemma 4 layers differ in d."
    looks: torch.Tensor
    "[l, h], attention to the visual tokens."


def shifted_heads(
    shift: HeadShift, loaded: Loaded, prepared: Prepared, features: Features
) -> ShiftedHeads:
    """Read the picture under the caption and under the question; return the vectors of the heads.

    Args:
        shift: the caption, and how much of the difference is added to which heads.
        loaded: the model, locked by the caller.
        prepared: the question.
        features: of all visual tokens.

    Raises:
        InputError: the caption gives another number of visual tokens.
    """
    asked = prepared.asked
    other = prepare(loaded, asked.film if asked.film else asked.images, shift.caption)
    if other.asked.layout.n != asked.layout.n:
        raise InputError("under the caption the images give another number of visual tokens.")
    told, own = (last_row(loaded, one, features) for one in (other, prepared))
    chosen = heads_that_look(told.looks - own.looks, shift.heads)
    vectors = [
        shift.alpha * (more - plain) * heads[:, None]
        for more, plain, heads in zip(told.outputs, own.outputs, chosen, strict=True)
    ]
    decoder = loaded.family.decoder(loaded.model)
    return ShiftedHeads(decoder, dict(zip(attending_layers(decoder), vectors, strict=True)))


def heads_that_look(more: torch.Tensor, share: float) -> torch.Tensor:
    """Return the heads whose attention to the image grows most, bool [l, h].

    Args:
        more: [l, h], by how much it grows.
        share: of all heads, at least one; a head whose attention does not grow is left out.
    """
    flat = more.flatten()
    count = max(round(share * len(flat)), 1)
    chosen = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    chosen[flat.argsort(descending=True, stable=True)[:count]] = True
    return (chosen & (flat > 0)).view(more.shape)


def last_row(loaded: Loaded, prepared: Prepared, features: Features) -> LastRow:
    """Read a prompt with all its visual tokens and return what its last row's heads did."""
    family, model = loaded.family, loaded.model
    decoder: Any = family.decoder(model)
    own = attending_layers(decoder)
    visual = torch.as_tensor(prepared.asked.layout.position.astype(np.int64))
    joined: dict[int, torch.Tensor] = {}
    looks: dict[int, torch.Tensor] = {}

    def keep_joined(layer: int) -> Callable[..., None]:
        def keep(module: nn.Module, args: Any) -> None:
            joined[layer] = args[0][0, -1].float()

        return keep

    def keep_looks(call: AttentionCall) -> None:
        layer = getattr(call.module, "layer_idx", None)
        if layer is not None:
            row = call.last_row()  # [h, keys]; a window has the last keys only
            places = visual.to(row.device) - (len(prepared.asked.prompt_ids) - row.shape[-1])
            looks[layer] = row[:, places[places >= 0]].sum(-1).float()

    handles = [joining(decoder.layers[i]).register_forward_pre_hook(keep_joined(i)) for i in own]
    reading = TeacherForcing(loaded, prepared, np.zeros(1, np.int64))
    with hooked(handles), observed(keep_looks):
        reading.prompt([np.arange(prepared.asked.layout.n)], features)
    seen = torch.stack([looks[i].cpu() for i in own])
    outputs = [joined[i].cpu().view(seen.shape[1], -1) for i in own]
    return LastRow(outputs, seen)
