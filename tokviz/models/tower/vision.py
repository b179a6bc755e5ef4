"""The vision tower's part of a run: the features of every visual token, and recorded signals."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.models.attention import observed
from tokviz.models.families.family import Family, Features, Inputs
from tokviz.models.families.sources import Sources
from tokviz.models.hooks import hooked
from tokviz.models.tower.record_signals import TowerHooks, TowerObserver
from tokviz.trace.layout import PATCH, Layout


@dataclass
class Vision:
    """The result of one run of the tower and the projector."""

    features: Features
    "Projected features of all visual tokens, in prompt order."
    pre: torch.Tensor
    "[n, d_v], each token before the projector; 0 for newline tokens."
    sources: Sources
    "The tower outputs from which each token was computed."
    whole: list[int]
    "Per image, the tower row that shows the whole image: its thumbnail, if it has one."
    layers: dict[str, dict[int, torch.Tensor]]
    "Signal -> tower layer -> [b, ...], b = tower rows; names as in SIGNALS."
    norms: dict[int, torch.Tensor]
    "Tower layer -> [b, patches], L2 norm of each patch's state."
    cls_state: torch.Tensor | None
    "[b, d_v], the [CLS] state of the layers that become the features; None without [CLS]."
    blocks: int = 0
    "Layers of the tower; 0 = read it off the signals."
    seconds: float = 0.0
    entered: tuple[torch.Tensor, dict[str, Any]] | None = None
    "The states that entered the first block, and its other arguments."
    entered_seconds: float = 0.0
    "From the pixels to the first block."
    similarity: dict[int, torch.Tensor] = field(default_factory=dict)
    "Tower layer -> [b, patches], cosine of the [CLS] state and each patch's; empty without [CLS]."
    unlike: list[int] | None = None
    "The pictures unlike those that the model learned from, see `unlike_note`; None = not known."


def encode(
    family: Family,
    model: nn.Module,
    inputs: Inputs,
    layout: Layout,
    wanted: Mapping[str, set[int] | None],
    norms: bool = False,
) -> Vision:
    """Run the tower and the projector once and keep the wanted signals.

    Args:
        family: the model's family.
        model: the model.
        inputs: the processor's output, on the model's device.
        layout: where the visual tokens lie.
        wanted: which of TOWER_SIGNALS to record in which layers, see TowerObserver.
        norms: record every patch's norm after every layer, and its cosine with [CLS].
    """
    observer = TowerObserver(family, model, wanted, family.image_patches(model, inputs))
    skip, joins = int(observer.has_cls), family.tower_joins(model)
    watch = TowerHooks(skip, joins, norms, family.projector_input)
    blocks = family.tower_layers(model)
    handles = watch.hooks(blocks, family.projector(model))
    began = time.perf_counter()
    with hooked(handles), observed(observer if wanted else None):
        features = family.image_features(model, inputs)
    sources = family.sources(model, inputs, layout)
    return Vision(
        features,
        family.pre_features(torch.cat(watch.pre), sources),
        sources,
        whole_rows(layout, sources),
        observer.layers,
        watch.norms,
        watch.cls_state,
        len(blocks),
        entered=watch.entered,
        entered_seconds=max(watch.entered_at - began, 0.0),
        similarity=watch.similarity,
    )


def whole_rows(layout: Layout, sources: Sources) -> list[int]:
    """Return, per image, the tower row of its thumbnail; without one, of its first tile."""
    rows = []
    for image in range(len(layout.sizes)):
        tiles = [i for i, tile in enumerate(layout.tiles) if tile.image == image]
        best = next((i for i in tiles if layout.tiles[i].role == "thumbnail"), tiles[0])
        rows.append(int(sources.row[(layout.tile == best) & (layout.kind == PATCH)][0]))
    return rows


def image_signals(vision: Vision, tokens: np.ndarray, image: int) -> dict[str, Any]:
    """Return the signals of one image's tokens, named as in SIGNALS.

    If the tokens are the patches of one tower row, one patch each and in order, a signal is that of
    the row, including [CLS]. Otherwise it is computed from each token's patches.

    Args:
        vision: a tower's run.
        tokens: the rows of its features that belong to the image.
        image: the image's number.
    """
    index = torch.as_tensor(tokens, device=vision.pre.device)
    signals: dict[str, Any] = {
        "feats_pre": vision.pre[index],
        "feats_post": vision.features.tokens[index],
    }
    for name, layers in vision.layers.items():
        made = {i: token_signal(vision.sources, name, one, tokens) for i, one in layers.items()}
        if made and all(value is not None for value in made.values()):
            signals[name] = made
            signals["num_layers"] = vision.blocks or max(layers) + 1
    if vision.cls_state is not None:
        signals["cls_pre"] = vision.cls_state[vision.whole[image]]
    return signals


def token_signal(
    sources: Sources, name: str, value: torch.Tensor, tokens: np.ndarray
) -> torch.Tensor | None:
    """Return one layer's signal over some tokens; None if the signal does not exist for them.

    Args:
        sources: the patches of each token.
        name: one of TOWER_SIGNALS.
        value: [b, ...] over the patches of the tower rows.
        tokens: the tokens.
    """
    row = sources.whole_row(tokens)
    if row is not None:
        return value[row]
    # attention received is a sum over patches, states and logits are means
    if name in ("cls_attn", "recv_attn"):
        return sources.share(value, tokens)
    if name == "cls_logits":
        return sources.mean(value, tokens)
    skip = value.shape[-2] - sources.patches
    if name == "full_attn":
        return sources.mean_map(value[..., skip:, skip:], tokens)
    return sources.mean_states(value[..., skip:, :], tokens)
