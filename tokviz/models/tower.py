"""Token reduction inside the vision tower: the blocks are run by hand, one image at a time.

A block is the library's own modules in the library's own order; what is added between its two
halves is the reduction, and a key bias of log(size) for tokens that stand for several patches
(proportional attention, ToMe). With nothing merged it equals the library's forward bit for bit.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.errors import InputError
from tokviz.layout import Layout
from tokviz.matrix import Reduction
from tokviz.models.attention import AttentionCall, observed
from tokviz.models.family import Family, Features, Inputs
from tokviz.models.sources import Sources
from tokviz.models.vision import TOWER_SIGNALS, TowerObserver, Vision
from tokviz.plans import Step
from tokviz.reduction import Stage, reduce


class TowerRun:
    """One image on its way through the tower, with its current tokens and their sizes."""

    def __init__(self, family: Family, model: nn.Module, step: Step, wanted: set[str]) -> None:
        """Args: `wanted` holds tower signals to keep from the layers after the last stage."""
        self.family, self.model, self.step = family, model, step
        self.observer = TowerObserver(family, model, wanted | {"cls_attn"})
        self.skip = int(family.has_cls(model))
        self.calls: list[AttentionCall] = []
        self.seconds = 0.0
        self.latest: tuple[int, Reduction] | None = None
        "Layer and reduction of the last stage."
        self.carried: torch.Tensor | None = None
        "[tokens], the score that the last stage that scored gave to what is left."

    def __call__(
        self, pixel_values: torch.Tensor, stages: dict[int, Stage], grid: tuple[int, int]
    ) -> tuple[torch.Tensor, Reduction]:
        """Return the features [m, d_v] in raster order and the reduction [m, n] that was done.

        Args:
            pixel_values: [1, ...] one image.
            stages: tower layer -> stage.
            grid: (rows, cols) of the patches.
        """
        self.grid = grid
        states = self.family.tower_embed(self.model, pixel_values)
        self.sizes = torch.ones(states.shape[1] - self.skip, device=states.device)
        whole = Reduction.identity(len(self.sizes))
        self.index = torch.arange(len(self.sizes), device=states.device)
        self.carried = None
        blocks = self.family.tower_layers(self.model)
        for layer in range(self.family.feature_layer(self.model) + 1):
            if layer in stages and self.unmerges:
                states = self.attend_merged(blocks[layer], states, stages[layer])
            else:
                with observed(self.see):
                    states = self.family.tower_attend(blocks[layer], states, self.key_bias(states))
            if layer in stages and not self.unmerges:
                done = self.decide(states[0, self.skip :], stages[layer])
                self.latest = (layer, done)
                states = self.shorten(states, done)
                whole = whole.then(done)
                self.carry(done)
            states = self.family.tower_mlp(blocks[layer], states)
        self.cls_state = states[:, 0] if self.skip else None
        ordered = whole.in_raster_order()
        self.raster = torch.as_tensor(np.argsort(whole.position, kind="stable"))
        kept = states[0, self.skip :][self.raster.to(states.device)]
        return self.family.tower_leave(self.model, kept), ordered

    @property
    def unmerges(self) -> bool:
        """True for methods that merge for one layer's attention only."""
        return self.step.entry.effect == "unmerge"  # type: ignore[union-attr]

    def attend_merged(self, block: nn.Module, states: torch.Tensor, stage: Stage) -> torch.Tensor:
        """Merge, attend, and copy what attention adds back to every member."""
        done = self.decide(states[0, self.skip :], stage)
        self.latest = (stage.layer, done)
        patches = apply_reduction(states[0, self.skip :], done)
        merged = torch.cat([states[:, : self.skip], patches[None]], 1)
        with observed(self.see):
            added = (self.family.tower_attend(block, merged, None) - merged)[0]
        group = torch.as_tensor(done.group, device=states.device)
        back = torch.cat([added[: self.skip], added[self.skip :][group]])
        return states + back[None]

    def see(self, call: AttentionCall) -> None:
        """Keep the block's attention call, and the signals asked for."""
        self.calls = [call]
        self.observer(call)

    def key_bias(self, states: torch.Tensor) -> torch.Tensor | None:
        """Additive mask [1, 1, 1, tokens] of log sizes, None while every token is one patch."""
        if bool((self.sizes == 1).all()):
            return None
        bias = torch.cat([self.sizes.new_zeros(self.skip), self.sizes.log()])
        return bias.to(states.dtype)[None, None, None]

    def decide(self, states: torch.Tensor, stage: Stage) -> Reduction:
        """Ask the method about the current tokens."""
        entry = self.step.entry
        began = time.perf_counter()
        asked = (*entry.needs, *entry.optional, *entry.fallbacks.values())  # type: ignore[union-attr]
        given: dict[str, Any] = {
            "keys": self.calls[0].key[0, :, self.skip :] if self.calls else None,
            "hidden": states,
            "sizes": self.sizes,
            "prefix": self.skip,
            "layer": stage.layer,
            "num_layers": self.family.feature_layer(self.model) + 1,
            "index": self.index,
            "carried": self.carried,
            "grid": self.grid if len(states) == self.grid[0] * self.grid[1] else None,
        }
        for name in set(asked) & set(TOWER_SIGNALS):
            value = self.observer.compute(name, self.calls[0])
            given[name] = None if value is None else value[0]
        signals = {name: value for name, value in given.items() if name in asked}
        done = reduce(self.step.method, signals, min(stage.keep, len(states)), **self.step.options)
        self.seconds += time.perf_counter() - began
        return done

    def carry(self, done: Reduction) -> None:
        """Take the numbers and scores of what is left along to the next stage."""
        place = torch.as_tensor(done.position, device=self.index.device)
        self.index = self.index[place]
        if done.score is not None:
            self.carried = torch.as_tensor(done.score)
        if self.carried is not None:
            self.carried = self.carried.to(place.device)[place]

    def shorten(self, states: torch.Tensor, done: Reduction) -> torch.Tensor:
        """Apply a reduction to the patch tokens and to their sizes; [CLS] stays in front."""
        patches = apply_reduction(states[0, self.skip :], done)
        coverage = np.bincount(done.cols, np.abs(done.weights), minlength=done.n)
        share = np.abs(done.weights) / coverage[done.cols] * self.sizes.cpu().numpy()[done.cols]
        sizes = np.bincount(done.rows, share, minlength=done.m).astype(np.float32)
        self.sizes = torch.as_tensor(sizes, device=states.device)
        return torch.cat([states[:, : self.skip], patches[None]], 1)


def apply_reduction(x: torch.Tensor, reduction: Reduction) -> torch.Tensor:
    """Return W x for x [n, d]; a selection is a plain gather, bit for bit.

    Args:
        x: [n, d] on any device, in any float type; merging sums in float32.
        reduction: the W to apply.
    """
    cols = torch.as_tensor(reduction.cols, device=x.device)
    if reduction.is_selection:
        return x[cols]
    rows = torch.as_tensor(reduction.rows, device=x.device)
    weights = torch.as_tensor(reduction.weights, device=x.device)
    out = torch.zeros(reduction.m, x.shape[1], device=x.device)
    return out.index_add_(0, rows, weights[:, None] * x[cols].float()).to(x.dtype)


def encode_reduced(
    family: Family,
    model: nn.Module,
    inputs: Inputs,
    layout: Layout,
    step: Step,
    keep: list[int],
    wanted: set[str],
) -> tuple[Vision, list[Reduction], float]:
    """Run the tower with a method inside it.

    Args:
        family: the model's family.
        model: the model.
        inputs: the processor's output; pixel_values [images, ...].
        layout: the layout before any reduction.
        step: a step whose method acts in the tower.
        keep: tokens to leave for each image.
        wanted: tower signals to record.

    Returns:
        The vision record over the surviving tokens, one Reduction per image (of what a method
        that un-merges did in its last layer), decision seconds.
    """
    refusal = family.tower_refusal(layout, family.sources(model, inputs, layout))
    if refusal:
        raise InputError(refusal)
    layers = family.feature_layer(model) + 1
    features, pre, reductions, seconds, runs = [], [], [], 0.0, []
    for image, pixels in enumerate(inputs["pixel_values"]):
        n = int((layout.image == image).sum())
        stages = step.entry.stages(n, keep[image], layers, **step.options)  # type: ignore[union-attr]
        run = TowerRun(family, model, step, wanted)
        grid = (layout.tiles[image].rows, layout.tiles[image].cols)
        kept, done = run(pixels[None], {s.layer: s for s in stages}, grid)
        pre.append(kept)
        features.append(family.project(model, kept))
        unmerged = run.latest[1] if run.latest and run.unmerges else None
        reductions.append(unmerged or done)
        seconds += run.seconds
        runs.append(run)
    states = [run.cls_state for run in runs if run.cls_state is not None]
    cls_state = torch.cat(states) if states else None
    tokens = torch.cat(features)
    vision = Vision(
        Features(tokens),
        torch.cat(pre),
        Sources.itself(len(tokens)),
        list(range(len(runs))),
        _surviving(runs, reductions),
        {},
        cls_state,
    )
    return vision, reductions, seconds


def _surviving(
    runs: list[TowerRun], reductions: list[Reduction]
) -> dict[str, dict[int, torch.Tensor]]:
    """[CLS] attention of the layers whose tokens are the final ones, in raster order.

    In the layer of the last stage a group's attention is the sum over its members.
    """
    layers: dict[str, dict[int, torch.Tensor]] = {}
    if len(runs) > 1:
        return layers
    run, m = runs[0], len(runs[0].raster)
    order = run.raster.to(run.sizes.device)
    values = dict(run.observer.layers["cls_attn"])
    layer, done = run.latest or (-1, reductions[0])
    if layer in values and done.m == m and not run.unmerges:
        support = torch.as_tensor(done.matrix() != 0, device=order.device).float()
        values[layer] = values[layer] @ support.T
    layers["cls_attn"] = {i: v[..., order] for i, v in values.items() if v.shape[-1] == m}
    return layers
