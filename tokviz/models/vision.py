"""The vision tower's half of a run: features of every visual token, and signals to choose by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.models.attention import AttentionCall, observed
from tokviz.models.family import Family, Inputs

TOWER_SIGNALS = ("cls_attn", "cls_logits", "recv_attn", "full_attn", "q", "k", "v")
"""Signals that come out of the tower's attention calls, one array per layer."""


@dataclass
class Vision:
    """What one pass through the tower and the projector left behind."""

    features: torch.Tensor
    "[n, d] projected features of all visual tokens, in prompt order."
    pre: torch.Tensor
    "[n, d_v] what entered the projector."
    layers: dict[str, dict[int, torch.Tensor]]
    "Signal -> tower layer -> [b, ...], b = images; names as in SIGNALS."
    norms: dict[int, torch.Tensor]
    "Tower layer -> [b, patches], L2 norm of each patch's state."
    cls_state: torch.Tensor | None
    "[b, d_v], the [CLS] state of the feature layer; None without [CLS]."
    seconds: float = 0.0


class TowerObserver:
    """Collects the asked-for signals of every attention call of a tower."""

    def __init__(self, family: Family, model: nn.Module, wanted: set[str]) -> None:
        """Args: `wanted` holds names of TOWER_SIGNALS."""
        self.has_cls = family.has_cls(model)
        self.wanted = wanted
        self.layer_of = {
            id(module): number
            for number, block in enumerate(family.tower_layers(model))
            for module in block.modules()
        }
        self.layers: dict[str, dict[int, torch.Tensor]] = {name: {} for name in wanted}

    def __call__(self, call: AttentionCall) -> None:
        """Record one call."""
        layer = self.layer_of.get(id(call.module))
        if layer is None:
            return
        for name in self.wanted:
            value = self.compute(name, call)
            if value is not None:
                self.layers[name][layer] = value

    def compute(self, name: str, call: AttentionCall) -> torch.Tensor | None:
        """Return one signal [b, ...] of a call, None where it does not exist."""
        skip = int(self.has_cls)
        if name in ("cls_attn", "cls_logits"):
            if not self.has_cls:
                return None
            first = torch.zeros(1, dtype=torch.long, device=call.query.device)
            rows = call.rows(first) if name == "cls_attn" else call.logits(first)
            return rows[:, :, 0, skip:]
        if name == "recv_attn":
            return call.received()[:, skip:]
        if name == "full_attn":
            return call.rows(torch.arange(call.query.shape[2], device=call.query.device))
        return {"q": call.query, "k": call.key, "v": call.value}[name]


@contextmanager
def hooked(*hooks: Any) -> Iterator[None]:
    """Keep hook handles for the length of a block, then take every one of them off."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def encode(
    family: Family, model: nn.Module, inputs: Inputs, wanted: set[str], norms: bool = False
) -> Vision:
    """Run the tower and the projector once and keep the wanted signals.

    Args:
        family: the model's family.
        model: the model.
        inputs: the processor's output, on the model's device.
        wanted: names of TOWER_SIGNALS to record in every layer.
        norms: record the norm of every patch after every layer.
    """
    observer = TowerObserver(family, model, wanted)
    pre: list[torch.Tensor] = []
    states: dict[int, torch.Tensor] = {}
    recorded: dict[int, torch.Tensor] = {}
    skip, feature_layer = int(observer.has_cls), family.feature_layer(model)

    def after_block(layer: int) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            state = output[0] if isinstance(output, tuple) else output
            if norms:
                recorded[layer] = state[:, skip:].float().norm(dim=-1)
            if layer == feature_layer:
                states[layer] = state

        return hook

    blocks = family.tower_layers(model)
    handles = [block.register_forward_hook(after_block(i)) for i, block in enumerate(blocks)]
    handles.append(
        family.projector(model).register_forward_pre_hook(lambda module, args: pre.append(args[0]))
    )
    with hooked(*handles), observed(observer if wanted else None):
        features = torch.cat(list(family.image_features(model, inputs)))
    flat = torch.cat([p.reshape(-1, p.shape[-1]) for p in pre])
    cls_state = states[feature_layer][:, 0] if observer.has_cls else None
    return Vision(features, flat, observer.layers, recorded, cls_state)


def image_signals(vision: Vision, tokens: np.ndarray, image: int) -> dict[str, Any]:
    """Return the signals of one image's tokens, named as in SIGNALS.

    Args:
        vision: a tower's run.
        tokens: which rows of its features belong to the image.
        image: the image's number.
    """
    index = torch.as_tensor(tokens, device=vision.features.device)
    signals: dict[str, Any] = {
        "feats_pre": vision.pre[index],
        "feats_post": vision.features[index],
    }
    for name, layers in vision.layers.items():
        if layers:
            signals[name] = {layer: value[image] for layer, value in layers.items()}
            signals["num_layers"] = max(layers) + 1
    if vision.cls_state is not None:
        signals["cls_pre"] = vision.cls_state[image]
    return signals
