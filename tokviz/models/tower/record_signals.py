"""Records the vision tower's signals while it runs: attention calls, block outputs, projector."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.models.attention_call import AttentionCall, seen_keys
from tokviz.models.families.family import Family

TOWER_SIGNALS = ("cls_attn", "cls_logits", "recv_attn", "full_attn", "q", "k", "v")
"""Signals that are computed from the tower's attention calls, one array per layer."""


class TowerObserver:
    """Records the wanted signals of every attention call of a tower."""

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
            spans: the result of `Family.image_patches`.
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
        self.waiting: list[AttentionCall] = []
        "The calls of one layer whose column sums are not computed yet."

    @property
    def layers(self) -> dict[str, dict[int, torch.Tensor]]:
        """Signal -> layer -> value. Calls of one layer (images, windows) are joined in order."""
        self.sum_columns()
        return {
            name: {layer: joined(name, parts, self.spans) for layer, parts in values.items()}
            for name, values in self.seen.items()
        }

    def __call__(self, call: AttentionCall) -> None:
        """Record one call."""
        layer = self.layer_of.get(id(call.module))
        if layer is None:
            return
        if self.spans is None and call.mask is not None:
            # padding: no patch sees it, and what it would see itself does not count
            call.counted = seen_keys(call.mask, len(call.query))
        for part in images_apart(call, self.spans):
            self.record(layer, part)

    def record(self, layer: int, call: AttentionCall) -> None:
        """Record a call of one image, one window, or a batch of rows."""
        for name, layers in self.wanted.items():
            if layer not in layers:
                continue  # maps and column sums cost time: compute them only in wanted layers
            if name == "recv_attn":
                self.wait(call)
                continue
            value = self.compute(name, call)
            if value is not None:
                self.seen[name].setdefault(layer, []).append(value)

    def wait(self, call: AttentionCall) -> None:
        """Delay a call's column sums until its layer is complete, to sum all windows at once."""
        if self.waiting and self.waiting[0].module is not call.module:
            self.sum_columns()
        self.waiting.append(call)

    def sum_columns(self) -> None:
        """Compute the attention received in the waiting calls; equal shapes form one batch."""
        calls, self.waiting = self.waiting, []
        if not calls:
            return
        alike: dict[Any, list[int]] = {}
        for number, call in enumerate(calls):
            key = call.query.shape if call.mask is None else number
            alike.setdefault(key, []).append(number)
        found: dict[int, torch.Tensor] = {}
        for numbers in alike.values():
            sums = batched([calls[number] for number in numbers]).received()
            parts = sums.split(len(calls[numbers[0]].query))
            found |= zip(numbers, parts, strict=True)
        skip, layer = int(self.has_cls), self.layer_of[id(calls[0].module)]
        self.seen["recv_attn"][layer] = [found[number][:, skip:] for number in range(len(calls))]

    def compute(self, name: str, call: AttentionCall) -> torch.Tensor | None:
        """Return one signal [b, ...] of a call; None if the tower lacks it."""
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


def images_apart(call: AttentionCall, spans: Sequence[int] | None) -> list[AttentionCall]:
    """Return a call over all images of a packed tower as one call per image; others as they are.

    Args:
        call: of a tower's attention. Pixtral's has all images in one call, and a mask that hides
            them from each other; Qwen's has one call per image or window.
        spans: the patches of each image, in order; None = images are rows of a batch.
    """
    if spans is None or call.mask is None or call.key.shape[2] != sum(spans):
        return [call]
    ends = np.cumsum(spans).tolist()
    return [call.within(slice(end - span, end)) for end, span in zip(ends, spans, strict=True)]


def batched(calls: Sequence[AttentionCall]) -> AttentionCall:
    """Return calls of equal module and shape as one call, for the attention received.

    A tower with windows makes hundreds of calls per layer.
    """
    first = calls[0]
    if len(calls) == 1:
        return first
    query, key = (torch.cat([getattr(c, name) for c in calls]) for name in ("query", "key"))
    # the keys are passed as values too, which `received` never reads
    return AttentionCall(
        first.module, query, key, key, None, first.scaling, first.causal, first.softcap, first.sinks
    )


def joined(name: str, parts: list[torch.Tensor], spans: list[int] | None) -> torch.Tensor:
    """Join a signal of several calls of one layer along the axis of patches.

    Towers that run all images as one sequence attend image by image, or window by window. The
    attention that a patch receives is the mean over all queries of its image, also if only the
    queries of its window attend to it.
    """
    if len(parts) == 1:
        return parts[0]
    if name == "recv_attn":
        # mean over the queries of a call -> sum -> mean over the queries of the image
        sums = torch.cat([part * part.shape[-1] for part in parts], -1)
        sizes = torch.tensor(spans, device=sums.device)
        return sums / sizes.repeat_interleave(sizes)
    if name != "full_attn":
        return torch.cat(parts, -2 if name in ("q", "k", "v") else -1)
    # maps [1, h, q, q] of the calls -> one map [1, h, all q, all q], 0 between images or windows
    heads = zip(*(part[0] for part in parts), strict=True)
    return torch.stack([torch.block_diag(*blocks) for blocks in heads])[None]


class TowerHooks:
    """Records states during one run of the tower, by hooks on its modules."""

    def __init__(
        self,
        skip: int,
        joins: Sequence[int],
        norms: bool,
        taken: Callable[[tuple[Any, ...]], torch.Tensor],
    ) -> None:
        """Describe what to record.

        Args:
            skip: [CLS] tokens in front of the patches, 0 or 1.
            joins: the layers whose [CLS] state is recorded, see `Family.tower_joins`.
            norms: record every patch's norm after every layer, and its cosine with [CLS].
            taken: the arguments of the projector's call -> its input, `Family.projector_input`.
        """
        self.skip, self.joins, self.record_norms, self.taken = skip, joins, norms, taken
        self.pre: list[torch.Tensor] = []
        "Inputs of the projector, one per call, [tokens, d_v]."
        self.first: dict[int, torch.Tensor] = {}
        "Layer of `joins` -> [b, skip, d_v], the [CLS] state after it."
        self.norms: dict[int, torch.Tensor] = {}
        self.similarity: dict[int, torch.Tensor] = {}
        self.entered: tuple[torch.Tensor, dict[str, Any]] | None = None
        self.entered_at = 0.0
        "Time at which the first block began, by `time.perf_counter`."

    @property
    def cls_state(self) -> torch.Tensor | None:
        """[b, d_v], the [CLS] states of the layers of `joins`, concatenated; None without [CLS]."""
        if not self.skip:
            return None
        return torch.cat([self.first[layer] for layer in self.joins], -1)[:, 0]

    def hooks(self, blocks: Sequence[nn.Module], projector: nn.Module) -> list[Any]:
        """Install the hooks; return their handles."""
        first = blocks[:1]  # a convolutional tower has none
        return [
            *(b.register_forward_pre_hook(self._at_entry, with_kwargs=True) for b in first),
            *(b.register_forward_hook(partial(self._after, i)) for i, b in enumerate(blocks)),
            projector.register_forward_pre_hook(self._at_projector),
        ]

    def _at_entry(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = dict(kwargs)
        self.entered = (args[0] if args else given.pop("hidden_states"), given)
        self.entered_at = time.perf_counter()
        if -1 in self.joins:
            self.first[-1] = self.entered[0][:, : self.skip]

    def _after(self, layer: int, module: nn.Module, args: Any, output: Any) -> None:
        state = output[0] if isinstance(output, tuple) else output
        state = state[None] if state.ndim == 2 else state  # all images as one sequence
        if self.record_norms:
            patches = state[:, self.skip :].float()
            self.norms[layer] = lengths = patches.norm(dim=-1)
            if self.skip:
                first = state[:, :1].float()
                # [b, patches, d] @ [b, d, 1] -> [b, patches]
                products = (patches @ first.transpose(1, 2))[..., 0]
                both = lengths * first.norm(dim=-1)
                self.similarity[layer] = products / both.clamp_min(1e-8)
        if layer in self.joins:
            self.first[layer] = state[:, : self.skip]

    def _at_projector(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.pre.append(self.taken(args))
