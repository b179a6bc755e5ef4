"""Eviction from the KV cache: after the prefill, tokens leave the cache of a layer, head by head.

The prompt is read whole. While a layer reads it, the signals of its method are computed from its
attention call, and the method decides at once; a method that compares layers (`cache_sparsity`)
decides at the end. Then keys and values of evicted tokens are cut out of the cache, for each key
head its own, so memory is really freed and every later token attends to what is left. Text stays.
Keys keep the positions at which they were read. Layers with a sliding window keep their cache: it
is short already, and the library counts its rows. Methods that remove tokens while the prompt is
read leave a short cache too: see `tokviz.models.decoder.remove_tokens`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tokviz.errors import MissingSignal
from tokviz.matrix import Reduction
from tokviz.models.attention_call import ROW_CHUNK, AttentionCall
from tokviz.models.clock import now
from tokviz.models.decoder.alive import AliveRows
from tokviz.models.decoder.windows import sliding_layers
from tokviz.models.families.layer_kinds import (
    layers_without_attention,
    listed,
    named_layers,
)
from tokviz.models.families.shared_keys import caching_layers, owners
from tokviz.per_head import PerHead
from tokviz.plans import Step
from tokviz.reduction import Stage, reduce
from tokviz.trace.stages import StageRecord

WINDOW = 64
"""Rows of the prompt in `cache_attn_window`."""
SPARSE_BELOW = 0.01
"""VL-Cache calls an entry empty below this share of its row's largest."""


class CacheEviction:
    """One method's decisions about the cache of every layer, and the cut that follows."""

    def __init__(self, step: Step, keep: int, rows: AliveRows, decoder: nn.Module) -> None:
        """Begin with nothing decided.

        Args:
            step: the step of the plan.
            keep: its budget in visual tokens.
            rows: which rows are alive in each layer.
            decoder: the text decoder; a method counts those of its layers that have attention.
        """
        self.step, self.keep, self.rows = step, keep, rows
        self.layers = caching_layers(decoder)
        self.without, self.windows = layers_without_attention(decoder), sliding_layers(decoder)
        self.shared = owners(decoder)
        self.entry = step.entry
        options = step.options
        visual, count = len(rows.visual_at_start), len(self.layers)
        stages = self.entry.stages(visual, keep, count, **options)  # type: ignore[union-attr]
        self.stages: dict[int, Stage] = {self.layers[stage.layer]: stage for stage in stages}
        self.waiting: dict[int, dict[str, Any]] = {}
        "Decoder layer -> its signals, until every layer has been read."
        self.decided: dict[int, Reduction] = {}
        self.held: dict[int, torch.Tensor] = {}
        "Decoder layer -> int64 [g, keys], which of the rows alive there each key head still holds."
        self.seconds: dict[int, float] = {}
        self.supplied: set[str] = set()

    def read_call(self, layer: int, call: AttentionCall) -> None:
        """Decide about one layer from its attention call of the prefill, or keep its signals."""
        visual = self.visual_at(layer)
        if layer in self.windows or layer not in self.stages:
            return
        if not len(visual) or self.keep >= len(visual):
            return
        began = now(call.key.device)
        signals = self.signals(layer, call, visual)
        if "cache_sparsity" in signals:
            self.waiting[layer] = signals
        else:
            self.decided[layer] = self.decide(layer, signals)
        self.seconds[layer] = now(call.key.device) - began

    def visual_at(self, layer: int) -> torch.Tensor:
        """Return which of the rows alive in a layer are visual tokens, ascending."""
        alive = self.rows.rows_at(layer)
        return torch.nonzero(torch.isin(alive, self.rows.visual_at_start))[:, 0]

    def signals(self, layer: int, call: AttentionCall, visual: torch.Tensor) -> dict[str, Any]:
        """Return the signals that the method asks for."""
        entry: Any = self.entry
        asked = {*entry.needs, *entry.optional}
        given = {name: CACHE_SUPPLIERS[name](call, visual) for name in asked & {*CACHE_SUPPLIERS}}
        place = {"layer": self.layers.index(layer), "num_layers": len(self.layers)}
        given |= {n: v for n, v in place.items() if n in asked}
        return {**given, "index": torch.arange(len(visual))}

    def decide(self, layer: int, signals: Mapping[str, Any]) -> Reduction:
        """Run the method on the signals of one layer."""
        self.supplied |= set(signals)
        keep = min(self.stages[layer].keep, len(signals["index"]))
        return reduce(self.step.method, signals, keep, **self.step.options)

    def finish(self, cache: DynamicCache) -> None:
        """Decide what is still open, and cut every layer's cache."""
        if self.waiting:
            self.decide_together()
        for layer, done in self.decided.items():
            began = now(self.rows.visual_at_start.device)
            if done.heads is not None:
                self.cut(layer, cache.layers[layer], done.heads)
            self.seconds[layer] += now(self.rows.visual_at_start.device) - began
        shared = self.shared.items()
        self.held |= {layer: self.held[own] for layer, own in shared if own in self.held}

    def decide_together(self) -> None:
        """Decide about the layers whose method compares them."""
        order = sorted(self.waiting)
        sparsity = torch.stack([self.waiting[i]["cache_sparsity"].cpu() for i in order])
        for place, layer in enumerate(order):
            began = now(sparsity.device)
            # layers are counted among those that are compared: one with a window is none of them
            signals = {**self.waiting[layer], "cache_sparsity": sparsity, "layer": place}
            self.decided[layer] = self.decide(layer, signals)
            self.seconds[layer] += now(sparsity.device) - began
        self.waiting = {}

    def cut(self, layer: int, cached: Any, heads: PerHead) -> None:
        """Cut evicted tokens out of a layer's cache [1, g, rows, d], and mix in merged ones."""
        if not isinstance(cached, DynamicLayer) or cached.keys.shape[1] != heads.heads:
            raise MissingSignal(
                "this model's KV cache holds something else than keys and values of each head, so "
                "it cannot be shortened. Choose a method that acts before the language model."
            )
        alive, visual = len(self.rows.rows_at(layer)), self.visual_at(layer).cpu().numpy()
        stays = np.ones((heads.heads, alive), bool)
        stays[:, visual] = heads.into == np.arange(len(visual))
        held = torch.as_tensor(np.nonzero(stays)[1].reshape(heads.heads, -1))
        for name in ("keys", "values"):
            states = getattr(cached, name)
            index = held.to(states.device)[None, :, :, None].expand(*states.shape[:2], -1, 1)
            # [1, g, rows, d] -> [1, g, keys, d]
            short = states.gather(2, index.expand(-1, -1, -1, states.shape[-1]))
            setattr(cached, name, mixed(short, states, held, visual, heads))
        self.held[layer] = held

    def places(self, layer: int) -> np.ndarray | None:
        """Return the rows that the first key head of a layer holds; None for a whole cache."""
        held = self.held.get(layer)
        return None if held is None else held[0].numpy()

    def whole_prompt(self, layers: list[int], rows: torch.Tensor, written: int) -> torch.Tensor:
        """Return attention rows over shortened caches as rows over the prompt and the answer.

        Args:
            layers: whose caches were shortened, all to the same number of keys.
            rows: [l, h, keys + written], in the order of each key head's cache.
            written: tokens of the answer among the keys.

        Returns:
            [l, h, rows alive + written], 0 for what a head does not hold.
        """
        held = torch.stack([self.held[layer] for layer in layers]).to(rows.device)
        # [l, g, keys] -> [l, h, keys]: query heads of one key head are neighbours
        held = held.repeat_interleave(rows.shape[1] // held.shape[1], 1)
        alive = len(self.rows.rows_at(layers[0]))
        full = rows.new_zeros(*rows.shape[:2], alive + written)
        count = held.shape[-1]
        full.scatter_(2, held, rows[..., :count])
        full[..., alive:] = rows[..., count:]
        return full

    def records(self) -> list[StageRecord]:
        """Return one record per layer whose cache was decided about, in order."""
        return [
            StageRecord(self.step.method, "cache", layer, done, self.seconds[layer], "evict")
            for layer, done in sorted(self.decided.items())
        ]

    @property
    def notes(self) -> list[str]:
        """Sentences for the reader."""
        title = self.entry.title  # type: ignore[union-attr]
        found = []
        if self.windows:
            count = len(self.windows)
            found.append(f"{title} left the caches of {count} layers with a sliding window whole.")
        if self.without:
            found.append(
                f"{title} shortened the caches of {listed(self.layers)} only: "
                f"{named_layers(self.without)}, whose state has no tokens that could be evicted."
            )
        if self.shared:
            found.append(
                f"{title} shortened the caches of {listed(self.decided)}; {listed(self.shared)} "
                "have none of their own and read those of earlier layers."
            )
        return found


def mixed(
    short: torch.Tensor,
    states: torch.Tensor,
    held: torch.Tensor,
    visual: np.ndarray,
    heads: PerHead,
) -> torch.Tensor:
    """Return the entries that stay, with merged ones mixed in; unchanged where nothing is merged.

    Args:
        short: [1, g, keys, d], the entries that stay.
        states: [1, g, rows, d], all entries.
        held: [g, keys], rows of the entries that stay.
        visual: [n], rows of the visual tokens.
        heads: says what is mixed into what, with which weight.
    """
    into, text_row = heads.into, heads.text_row
    number = np.arange(len(visual))
    # row of the entry that takes each token up, -1 = none
    target = np.where(into >= 0, visual[np.maximum(into, 0)], text_row)  # type: ignore[arg-type, operator]
    head, token = np.nonzero((target >= 0) & (into != number))
    if not len(head):
        return short
    row = torch.as_tensor(target[head, token])
    # row of the prompt -> its place among the entries that stay, [g, rows]
    place = torch.zeros(states.shape[1:3], dtype=torch.long)
    place.scatter_(1, held, torch.arange(held.shape[1]).expand_as(held))
    slot = place[torch.as_tensor(head), row]
    weight = torch.as_tensor(heads.weights[head, token])[:, None]  # type: ignore[index]
    device = short.device
    where = (torch.as_tensor(head).to(device), slot.to(device))
    own = torch.ones(*short.shape[1:3], 1, device=device)
    own.index_put_(where, -weight.to(device), accumulate=True)
    out = short[0].float() * own
    moved = states[0, where[0], torch.as_tensor(visual[token]).to(device)].float()
    out.index_put_(where, weight.to(device) * moved, accumulate=True)
    return out.to(short.dtype)[None]


def text_after(call: AttentionCall, visual: torch.Tensor) -> torch.Tensor:
    """Return the rows after the last visual token.

    Raises:
        MissingSignal: the prompt ends with an image.
    """
    rows = torch.arange(int(visual[-1]) + 1, call.query.shape[2], device=visual.device)
    if not len(rows):
        raise MissingSignal("there is no text after the last visual token to read.")
    return rows


def summed(call: AttentionCall, rows: torch.Tensor) -> torch.Tensor:
    """Return the attention that each key gets from some rows together, [h, a]."""
    total = torch.zeros(call.query.shape[1], call.key.shape[2], device=call.key.device)
    for chunk in rows.split(ROW_CHUNK):
        total += call.rows(chunk)[0].sum(1)
    return total


def sparsity(call: AttentionCall, rows: torch.Tensor) -> torch.Tensor:
    """Return the share of entries of some rows that are nearly empty, mean over heads."""
    weights = call.rows(rows)[0]
    full = weights >= SPARSE_BELOW * weights.amax(-1, keepdim=True)
    # a causal row r has r + 1 entries; the others are 0 and count neither here nor there
    entries = (rows + 1).sum()
    return 1 - full.sum((1, 2)).float().mean() / entries


CACHE_SUPPLIERS: dict[str, Callable[[AttentionCall, torch.Tensor], Any]] = {
    "cache_attn_window": lambda call, visual: call.rows(
        torch.arange(call.query.shape[2], device=visual.device)[-WINDOW:]
    )[0],
    "cache_attn_sum": lambda call, visual: summed(
        call, torch.arange(call.query.shape[2], device=visual.device)
    ),
    "cache_attn_after": lambda call, visual: summed(call, text_after(call, visual)),
    "cache_sparsity": lambda call, visual: sparsity(call, text_after(call, visual)),
    "cache_keys": lambda call, visual: call.key[0],
    "kv_heads": lambda call, visual: call.key.shape[1],
    "llm_visual_rows": lambda call, visual: visual,
}
"""Name of each signal of CACHE -> how it is computed from a layer's attention call."""
