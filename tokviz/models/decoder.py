"""Token reduction inside the language model, while one prefill runs.

Pre-hooks on the decoder's layers shorten the hidden states at a stage and slice what the model
passes to every later layer (rotary embeddings, position ids, masks). The KV cache of each layer
comes out as short as its layer's input; decoding needs no hook unless positions are repacked.
Rows are spoken of by their index in the sequence that entered layer 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.errors import MissingSignal
from tokviz.matrix import Reduction
from tokviz.models.attention import AttentionCall, observed
from tokviz.models.tower import apply_reduction
from tokviz.models.vision import hooked
from tokviz.plans import Step
from tokviz.reduction import Stage, reduce

Kwargs = dict[str, Any]


class DecoderStages:
    """Carries out a method's stages in one prefill and remembers what is alive in each layer."""

    def __init__(
        self,
        decoder: nn.Module,
        step: Step | None,
        stages: list[Stage],
        visual: torch.Tensor,
        length: int,
        index: np.ndarray,
        next_position: int,
    ) -> None:
        """Describe the sequence that enters layer 0.

        Args:
            decoder: the text decoder.
            step: the step that acts in the language model, None for a plain prefill.
            stages: its schedule, ascending layers.
            visual: [m] sequence indices of the visual tokens, ascending.
            length: number of rows of the sequence.
            index: [m] original number of each visual token.
            next_position: position id of the first decoded token when nothing is repacked.
        """
        self.decoder, self.step = decoder, step
        self.stages = {stage.layer: stage for stage in stages}
        self.visual, self.index = visual, torch.as_tensor(index, device=visual.device)
        self.entered = len(visual)
        self.alive = torch.arange(length, device=visual.device)
        self.length, self.next_position = length, next_position
        self.done: list[tuple[int, Reduction, float]] = []
        self.call: AttentionCall | None = None
        self.rows_in: dict[int, torch.Tensor] = {}

    @property
    def repacks(self) -> bool:
        """True when positions are renumbered after each stage."""
        return self.step is not None and self.step.position_policy == "repack"

    @contextmanager
    def during_prefill(self) -> Iterator[None]:
        """Install the hooks for one prefill."""
        layers = self.decoder.layers
        first = min(self.stages, default=len(layers))  # type: ignore[arg-type]
        handles = [
            layers[i].register_forward_pre_hook(self._before(i), with_kwargs=True)  # type: ignore
            for i in range(first, len(layers) if self.stages else 0)  # type: ignore[arg-type]
        ]
        with hooked(*handles):
            yield

    @contextmanager
    def during_decode(self) -> Iterator[None]:
        """Install what one decode step needs: shifted positions where they were repacked."""
        handles = []
        if self.repacks:
            for i, rows in self.rows_in.items():
                handles.append(
                    self.decoder.layers[i].register_forward_pre_hook(  # type: ignore[index]
                        self._shift(self.next_position - len(rows)), with_kwargs=True
                    )
                )
        with hooked(*handles):
            yield

    def rows_at(self, layer: int) -> torch.Tensor:
        """Return the sequence indices of the rows that entered a layer."""
        return self.rows_in.get(layer, torch.arange(self.length, device=self.alive.device))

    def reduction_at(self, layer: int) -> Reduction:
        """Return what the stages up to a layer did to the visual tokens of layer 0."""
        whole = Reduction.identity(self.entered)
        for at, done, _ in self.done:
            if at <= layer:
                whole = whole.then(done)
        return whole

    # -- hooks ------------------------------------------------------------------------------------

    def _before(self, layer: int) -> Callable[..., tuple[tuple[Any, ...], Kwargs]]:
        def hook(module: nn.Module, args: tuple, kwargs: Kwargs) -> tuple[tuple[Any, ...], Kwargs]:
            hidden = args[0] if args else kwargs.pop("hidden_states")
            full = dict(kwargs)
            if layer in self.stages:
                hidden = self._carry_out(layer, hidden, self._sliced(full, hidden))
            self.rows_in[layer] = self.alive
            return (hidden, *args[1:]), self._sliced(full, hidden)

        return hook

    def _carry_out(self, layer: int, hidden: torch.Tensor, kwargs: Kwargs) -> torch.Tensor:
        """Ask the method, then shorten the hidden states [1, rows, d]."""
        began = time.perf_counter()
        state = StageState(self, layer, hidden, kwargs)
        step, keep = self.step, self.stages[layer].keep
        signals = state.signals(step.entry)  # type: ignore[union-attr]
        done = reduce(step.method, signals, keep, **step.options).in_raster_order()  # type: ignore
        self.done.append((layer, done, time.perf_counter() - began))
        return self._shorten(hidden, done, state.local)

    def _shorten(self, hidden: torch.Tensor, done: Reduction, local: torch.Tensor) -> torch.Tensor:
        kept = local[torch.as_tensor(done.position, device=local.device)]
        stays = torch.ones(hidden.shape[1], dtype=torch.bool, device=hidden.device)
        stays[local] = False
        stays[kept] = True
        shorter = hidden[:, stays]
        place = torch.cumsum(stays, 0)[kept] - 1
        shorter[0, place] = apply_reduction(hidden[0, local], done)
        self.visual, self.alive = self.alive[kept], self.alive[stays]
        self.index = self.index[torch.as_tensor(done.position, device=local.device)]
        return shorter

    def _sliced(self, kwargs: Kwargs, hidden: torch.Tensor) -> Kwargs:
        """Cut what belongs to dead rows out of a layer's keyword arguments."""
        if len(self.alive) == self.length:
            return dict(kwargs)
        alive, out = self.alive, dict(kwargs)
        if out.get("position_ids") is not None:
            out["position_ids"] = out["position_ids"][..., alive]
        mask = out.get("attention_mask")
        if mask is not None:
            out["attention_mask"] = mask[:, :, alive][..., alive]
        if self.repacks:
            packed = torch.arange(len(alive), device=alive.device)[None]
            out["position_embeddings"] = self.decoder.rotary_emb(hidden, packed)  # type: ignore
        elif out.get("position_embeddings") is not None:
            cos, sin = out["position_embeddings"]
            out["position_embeddings"] = (cos[..., alive, :], sin[..., alive, :])
        return out

    def _shift(self, removed: int) -> Callable[..., tuple[tuple[Any, ...], Kwargs]]:
        def hook(module: nn.Module, args: tuple, kwargs: Kwargs) -> tuple[tuple[Any, ...], Kwargs]:
            hidden = args[0] if args else kwargs["hidden_states"]
            positions = kwargs["position_ids"] - removed
            kwargs = {**kwargs, "position_ids": positions}
            kwargs["position_embeddings"] = self.decoder.rotary_emb(hidden, positions)  # type: ignore
            return args, kwargs

        return hook


class StageState:
    """The residual stream entering one layer, from which a stage's signals are computed."""

    def __init__(
        self, run: DecoderStages, layer: int, hidden: torch.Tensor, kwargs: Kwargs
    ) -> None:
        """Args: `hidden` [1, rows, d]; `kwargs` what the layer would get, already sliced."""
        self.run, self.layer, self.hidden, self.kwargs = run, layer, hidden, kwargs
        self.local = torch.searchsorted(run.alive, run.visual)
        "[m] rows of `hidden` that are visual tokens."

    def signals(self, entry: Any) -> dict[str, Any]:
        """Return the signals that a method asks for and that this state can give."""
        asked = dict.fromkeys((*entry.needs, *entry.optional))
        for name in entry.needs:
            if name not in SUPPLIERS and entry.fallbacks.get(name) in SUPPLIERS:
                asked[entry.fallbacks[name]] = None
        given = {name: SUPPLIERS[name](self) for name in asked if name in SUPPLIERS}
        given.setdefault("index", self.run.index)
        return given

    def text_rows(self) -> torch.Tensor:
        """Rows of the prompt after the last visual token."""
        last = int(self.local[-1]) if len(self.local) else -1
        return torch.arange(last + 1, self.hidden.shape[1], device=self.hidden.device)

    def before(self) -> AttentionCall:
        """The attention call of the layer just before."""
        if self.run.call is None:
            raise MissingSignal("the first layer has no attention of a layer before it.")
        return self.run.call

    def peek(self) -> AttentionCall:
        """The coming layer's own attention call, computed ahead and thrown away."""
        seen: list[AttentionCall] = []
        layer = self.run.decoder.layers[self.layer]  # type: ignore[index]
        kwargs = {**self.kwargs, "past_key_values": None, "use_cache": False}
        with observed(seen.append):
            layer.self_attn(hidden_states=layer.input_layernorm(self.hidden), **kwargs)
        return seen[0]

    def last_row(self) -> torch.Tensor:
        """Index of the last prompt row."""
        return torch.tensor([self.hidden.shape[1] - 1], device=self.hidden.device)


SUPPLIERS: dict[str, Callable[[StageState], torch.Tensor]] = {
    "llm_attn_last": lambda s: s.before().rows(s.last_row())[0, :, 0][:, s.local],
    "llm_peek_last": lambda s: s.peek().rows(s.last_row())[0, :, 0][:, s.local],
    "llm_attn_text": lambda s: s.before().rows(s.text_rows())[0][..., s.local],
    "llm_hidden": lambda s: s.hidden[0, s.local],
    "llm_hidden_last": lambda s: s.hidden[0, -1],
    "index": lambda s: s.run.index,
}
"""How each language-model signal of SIGNALS is computed at a stage."""
