"""The vision tower's half of a run: features of every visual token, and signals to choose by."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.layout import PATCH, Layout
from tokviz.models.attention import AttentionCall, observed
from tokviz.models.family import Family, Features, Inputs
from tokviz.models.sources import Sources

TOWER_SIGNALS = ("cls_attn", "cls_logits", "recv_attn", "full_attn", "q", "k", "v")
"""Signals that come out of the tower's attention calls, one array per layer."""


@dataclass
class Vision:
    """What one pass through the tower and the projector left behind."""

    features: Features
    "Projected features of all visual tokens, in prompt order."
    pre: torch.Tensor
    "[n, d_v] what each token was before the projector; 0 for newline tokens."
    sources: Sources
    "From which tower outputs each token was formed."
    whole: list[int]
    "Per image, the tower row that shows all of it: its thumbnail where it has one."
    layers: dict[str, dict[int, torch.Tensor]]
    "Signal -> tower layer -> [b, ...], b = tower rows; names as in SIGNALS."
    norms: dict[int, torch.Tensor]
    "Tower layer -> [b, patches], L2 norm of each patch's state."
    cls_state: torch.Tensor | None
    "[b, d_v], the [CLS] state of the feature layer; None without [CLS]."
    blocks: int = 0
    "Layers of the tower; 0 = as many as the signals say."
    seconds: float = 0.0
    entered: tuple[torch.Tensor, dict[str, Any]] | None = None
    "States that entered the first block, and what the library gave it along with them."
    entered_seconds: float = 0.0
    "From the pixels to the first block."
    similarity: dict[int, torch.Tensor] = field(default_factory=dict)
    "Tower layer -> [b, patches], cosine of the [CLS] state and each patch's; empty without [CLS]."


class TowerObserver:
    """Collects the asked-for signals of every attention call of a tower."""

    def __init__(
        self,
        family: Family,
        model: nn.Module,
        wanted: Mapping[str, set[int] | None],
        spans: list[int] | None = None,
    ) -> None:
        """Describe what to collect.

        Args:
            family: the model's family.
            model: the model.
            wanted: names of TOWER_SIGNALS -> layers, negative ones from the end; None = all.
            spans: as from `Family.image_patches`.
        """
        count = len(family.tower_layers(model))
        every, known = set(range(count)), set(range(-count, count))
        self.wanted = {
            name: every if layers is None or layers - known else {i % count for i in layers}
            for name, layers in wanted.items()
        }
        self.spans = spans
        self.has_cls = family.has_cls(model)
        self.layer_of = {
            id(module): number
            for number, block in enumerate(family.tower_layers(model))
            for module in block.modules()
        }
        self.seen: dict[str, dict[int, list[torch.Tensor]]] = {name: {} for name in wanted}

    @property
    def layers(self) -> dict[str, dict[int, torch.Tensor]]:
        """Signal -> layer -> value. Calls of one layer (images, windows) are joined in order."""
        return {
            name: {layer: joined(name, parts, self.spans) for layer, parts in values.items()}
            for name, values in self.seen.items()
        }

    def __call__(self, call: AttentionCall) -> None:
        """Record one call."""
        layer = self.layer_of.get(id(call.module))
        if layer is None:
            return
        for name, layers in self.wanted.items():
            if layer not in layers:
                continue  # maps and column sums cost time: only where somebody looks
            value = self.compute(name, call)
            if value is not None:
                self.seen[name].setdefault(layer, []).append(value)

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


def joined(name: str, parts: list[torch.Tensor], spans: list[int] | None) -> torch.Tensor:
    """Join what several calls of one layer gave along the axis of patches.

    Towers that take all images as one sequence attend image by image, or window by window. What a
    patch receives is the mean over all queries of its image, also where only a window sees it.
    """
    if len(parts) == 1:
        return parts[0]
    if name == "recv_attn":
        sums = torch.cat([part * part.shape[-1] for part in parts], -1)
        sizes = torch.tensor(spans, device=sums.device)
        return sums / sizes.repeat_interleave(sizes)
    if name != "full_attn":
        return torch.cat(parts, -2 if name in ("q", "k", "v") else -1)
    heads = zip(*(part[0] for part in parts), strict=True)
    return torch.stack([torch.block_diag(*blocks) for blocks in heads])[None]


@contextmanager
def hooked(*hooks: Any) -> Iterator[None]:
    """Keep hook handles for the length of a block, then take every one of them off."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


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
        norms: record the norm of every patch after every layer, and its likeness to [CLS].
    """
    observer = TowerObserver(family, model, wanted, family.image_patches(model, inputs))
    pre: list[torch.Tensor] = []
    states: dict[int, torch.Tensor] = {}
    recorded: dict[int, torch.Tensor] = {}
    similarity: dict[int, torch.Tensor] = {}
    skip, feature_layer = int(observer.has_cls), family.feature_layer(model)

    def after_block(layer: int) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            state = output[0] if isinstance(output, tuple) else output
            state = state[None] if state.ndim == 2 else state  # all images as one sequence
            if norms:
                recorded[layer] = state[:, skip:].float().norm(dim=-1)
            if norms and skip:
                likeness = torch.cosine_similarity(state[:, :1].float(), state[:, 1:].float(), -1)
                similarity[layer] = likeness
            if layer == feature_layer:
                states[layer] = state

        return hook

    entered: list[Any] = []

    def at_entry(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = dict(kwargs)
        state = args[0] if args else given.pop("hidden_states")
        entered.extend([state, given, time.perf_counter() - began])

    blocks = family.tower_layers(model)
    first = blocks[0].register_forward_pre_hook(at_entry, with_kwargs=True)
    handles = [block.register_forward_hook(after_block(i)) for i, block in enumerate(blocks)]
    handles.append(
        family.projector(model).register_forward_pre_hook(lambda module, args: pre.append(args[0]))
    )
    began = time.perf_counter()
    with hooked(first, *handles), observed(observer if wanted else None):
        features = family.image_features(model, inputs)
    flat = torch.cat([p.reshape(-1, p.shape[-1]) for p in pre])
    sources = family.sources(model, inputs, layout)
    cls_state = states[feature_layer][:, 0] if observer.has_cls else None
    return Vision(
        features,
        family.pre_features(flat, sources),
        sources,
        whole_rows(layout, sources),
        observer.layers,
        recorded,
        cls_state,
        len(blocks),
        entered=(entered[0], entered[1]),
        entered_seconds=entered[2],
        similarity=similarity,
    )


def whole_rows(layout: Layout, sources: Sources) -> list[int]:
    """Return, per image, the tower row of its thumbnail, or of its first tile without one."""
    rows = []
    for image in range(len(layout.sizes)):
        tiles = [i for i, tile in enumerate(layout.tiles) if tile.image == image]
        best = next((i for i in tiles if layout.tiles[i].role == "thumbnail"), tiles[0])
        rows.append(int(sources.row[(layout.tile == best) & (layout.kind == PATCH)][0]))
    return rows


def image_signals(vision: Vision, tokens: np.ndarray, image: int) -> dict[str, Any]:
    """Return the signals of one image's tokens, named as in SIGNALS.

    Where the tokens are the patches of one tower row, one each and in order, a signal is that
    row's, its [CLS] included; elsewhere it is made of the tokens' sources.

    Args:
        vision: a tower's run.
        tokens: which rows of its features belong to the image.
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
    """Return one layer's signal over some tokens; None where it has no meaning for them."""
    row = sources.whole_row(tokens)
    if row is not None:
        return value[row]
    if name in ("cls_attn", "recv_attn"):
        return sources.share(value, tokens)
    if name == "cls_logits":
        return sources.mean(value, tokens)
    skip = value.shape[-2] - sources.patches
    if name == "full_attn":
        return sources.mean_map(value[..., skip:, skip:], tokens)
    return sources.mean_states(value[..., skip:, :], tokens)
