"""Token removal inside the language model, which also shortens the KV cache.

Pre-hooks on the decoder's layers shorten the hidden states at a stage, and slice the arguments that
the model passes to every later layer (rotary embeddings, position ids, masks). Each layer's KV
cache is then as short as the layer's input; nothing is cut out of a cache afterwards. Rows are
numbered by their index in the sequence that entered layer 0 (`tokviz.models.decoder.alive`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.matrix import Reduction
from tokviz.models.apply_reduction import apply_reduction
from tokviz.models.clock import now
from tokviz.models.decoder.alive import AliveRows
from tokviz.models.decoder.cache_eviction import CacheEviction
from tokviz.models.decoder.masks import prompt_mask, step_mask
from tokviz.models.decoder.member_positions import MemberPositions
from tokviz.models.decoder.sets_by_word import SetsByWord
from tokviz.models.decoder.signal_recorder import SignalRecorder
from tokviz.models.decoder.slicing import sliced
from tokviz.models.decoder.stage_signals import StageState
from tokviz.models.decoder.unmerged_rows import UnmergedRows
from tokviz.models.decoder.windows import Windows
from tokviz.models.families.parts import cache_of
from tokviz.models.families.shared_keys import following, owners, whole_prompt_layers
from tokviz.models.families.state_versions import by_name
from tokviz.models.hooks import hooked
from tokviz.plans import Step
from tokviz.reduction import Stage, reduce
from tokviz.trace.stages import StageRecord

Kwargs = dict[str, Any]
Rotary = Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]


class StartAgain(Exception):  # noqa: N818 - a signal, not an error
    """Ends a prefill at a stage whose method reads the prompt again without the removed tokens."""


class DecoderStages(AliveRows):
    """Carries out a method's stages in one prefill and records which rows are alive per layer."""

    def __init__(
        self,
        decoder: nn.Module,
        step: Step | None,
        stages: list[Stage],
        visual: torch.Tensor,
        length: int,
        index: np.ndarray,
        next_position: int,
        head: torch.Tensor,
        carried: dict[str, Any] | None = None,
        rotary: Rotary | None = None,
        windows: Windows | None = None,
        cap: Callable[[torch.Tensor], torch.Tensor] = lambda logits: logits,
        question: int | None = None,
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
            head: [v, d] weight of the language model's head.
            carried: signals of the vision tower, one value per visual token.
            rotary: (hidden, positions [1, rows], layer) -> cos and sin; default the decoder's own.
            cap: from states times `head` to the model's word logits.
            windows: of the layers that have a sliding window; None = no layer has.
            question: row of the last token of the user's own words; None = the last row.
        """
        super().__init__(visual, length, index, carried, question)
        self.decoder: nn.Module = decoder
        self.step = step
        self.stages = {stage.layer: stage for stage in stages}
        self.entered = len(visual)
        self.next_position = next_position
        self.done: list[tuple[int, Reduction, float]] = []
        "Layer, W and seconds of each stage that was carried out."
        self.supplied: set[str] = set()
        "Names of the signals that the decisions were given."
        self.head = head
        asked = step.entry if step else None
        wanted = {*asked.needs, *asked.optional} if asked else set()
        variant = step.options.get("variant", "code") if step else "code"
        self.recorder = SignalRecorder(self, decoder, wanted, list(self.stages), variant)
        self.eviction: CacheEviction | None = None
        "Shortens the layers' caches after the prefill."
        self.members: MemberPositions | None = None
        "Gives merged tokens several positions while the prompt is read."
        self.unmerged: UnmergedRows | None = None
        "The places of merged tokens in attention, where these are more than one each."
        self.full_hidden: torch.Tensor | None = None
        "Hidden states of the full sequence while some rows bypass layers."
        self.by_word: SetsByWord | None = None
        "The choices of each word of the answer, where every word chooses anew."
        if self.effect == "decode" and step and step.options.get("anew", True):
            self.by_word = SetsByWord(self.stages, visual, length)
        self.windows, self.cap = windows, cap
        self.owners = owners(decoder)
        self.readers = {
            own: [i for i, of in self.owners.items() if of == own] for own in self.owners.values()
        }
        "Layer -> the later layers that read its keys."
        self.rotary: Rotary = rotary or (
            lambda hidden, positions, layer: decoder.rotary_emb(hidden, positions)  # type: ignore
        )

    @property
    def effect(self) -> str:
        """What happens to the tokens that a stage does not keep, a key of EFFECTS."""
        return self.step.entry.effect if self.step and self.step.entry else "remove"

    @property
    def repacks(self) -> bool:
        """True if positions are renumbered after each stage."""
        policy = self.step.position_policy if self.step else "keep"
        return policy == "repack" and self.effect == "remove"

    def records(self) -> list[StageRecord]:
        """Return the stages that were carried out, in the order of the layers."""
        name = self.step.method if self.step else ""
        inside = [
            StageRecord(name, "language_model", layer, done, seconds, self.effect)
            for layer, done, seconds in self.done
        ]
        # sorting is stable: a stage acts before its layer, a cache is cut after it
        evicted = self.eviction.records() if self.eviction else []
        return sorted([*inside, *evicted], key=lambda record: record.layer or 0)

    @contextmanager
    def during_prefill(self) -> Iterator[None]:
        """Install the hooks for one prefill."""
        whole = whole_prompt_layers(self.decoder)
        hooks = list(self.windows.before_prefill().items()) if self.windows else []
        hooks += [(i, self._before(i)) for i in range(min(self.stages, default=whole), whole)]
        handles = self._installed(hooks)
        if self.members:
            rotary: Any = self.decoder.rotary_emb
            handles.append(rotary.register_forward_hook(self.members, with_kwargs=True))
        unmerging = self.unmerged.during_prefill(self.decoder) if self.unmerged else nullcontext()
        with hooked(chain(handles, self.recorder.hooks() if self.stages else ())), unmerging:
            yield

    @contextmanager
    def during_decode(self) -> Iterator[None]:
        """Install the hooks of one decode step: windows, hidden keys, renumbered positions.

        Without these three a decode step needs no hook, since the caches are already short.
        """
        hooks = self._window_hooks()
        own = [i for i in self.rows_in if i not in self.owners]
        if self.effect in ("mask", "decode"):
            hooks += [(i, self._hide(i)) for i in own]
        elif self.repacks:
            hooks += [(i, self._shift(self.moved_at(i), i)) for i in own]
        with hooked(self._installed(hooks)):
            yield

    def _installed(self, hooks: Sequence[tuple[int, Callable[..., Any]]]) -> list[Any]:
        """Install pre-hooks of layers; layers that share keys follow those that own them."""
        layers: Any = self.decoder.layers
        handles = [layers[i].register_forward_pre_hook(hook, with_kwargs=True) for i, hook in hooks]
        return [*handles, *following(self.decoder)] if hooks and self.owners else handles

    def _window_hooks(self) -> list[tuple[int, Callable[..., Any]]]:
        """Return the hooks of the layers with a window; none if no layer's cache lacks a row."""
        windows = self.windows
        if windows is None:
            return []
        alive = {layer: self.rows_at(layer) for layer in range(len(self.decoder.layers))}  # type: ignore
        if all(len(rows) == windows.total for rows in alive.values()):
            return []
        return [
            (i, windows.while_writing(i, alive[i], self.repacks and len(alive[i]) < self.length))
            for i in windows.layers
        ]

    def word_logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the word logits of states after the final norm, float32 [rows, v]."""
        return self.cap((states @ self.head.T).float())

    def moved_at(self, layer: int) -> int:
        """Return how much smaller the position ids of later tokens are in a layer."""
        rows = self.rows_in.get(layer) if self.repacks else None
        return 0 if rows is None else self.next_position - len(rows)

    def cached(self, layer: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Describe the prompt's keys in a layer's cache for the tokens that follow.

        Returns:
            The place of each key [rows], which counts for sliding windows; which keys later tokens
            may attend to (bool [rows]); and the place of the first token after the prompt.
        """
        alive, windows = self.rows_at(layer), self.windows
        seen = torch.ones(len(alive), dtype=torch.bool, device=alive.device)
        if self.effect in ("mask", "decode") and layer in self.rows_in:
            seen = ~torch.isin(alive, self._hidden_rows(layer))
        packed = self.repacks and len(alive) < self.length
        held = self.eviction.places(layer) if self.eviction else None
        if held is not None:  # no layer with a window is cut, so only the number of places counts
            return held, np.ones(len(held), bool), len(alive)
        if windows is None or packed:
            places, total = np.arange(len(alive)), len(alive)
        else:
            places, total = windows.rows[alive].cpu().numpy(), windows.total
        return places, seen.cpu().numpy(), total

    def reduction_at(self, layer: int) -> Reduction:
        """Return what the stages up to a layer did to the visual tokens that entered layer 0."""
        whole = Reduction.identity(self.entered)
        for at, done, _ in self.done:
            if at <= layer and self.effect == "remove":
                whole = whole.then(done)
            elif at <= layer and self.effect == "bypass":
                whole = done
        return whole

    # -- hooks ------------------------------------------------------------------------------------

    def _before(self, layer: int) -> Callable[..., tuple[tuple[Any, ...], Kwargs]]:
        def hook(module: nn.Module, args: tuple, kwargs: Kwargs) -> tuple[tuple[Any, ...], Kwargs]:
            hidden, full = by_name(module, args, kwargs)
            if layer in self.stages and len(self.visual):
                hidden = self._restore(hidden)
                hidden = self._carry_out(layer, hidden, self._sliced(full, hidden, layer))
            self.rows_in |= dict.fromkeys((layer, *self.readers.get(layer, ())), self.alive)
            kwargs = self._sliced(full, hidden, layer)
            if self.effect == "mask" and self.done:
                given, hides = kwargs.get("attention_mask"), self._hidden_rows(layer)
                kwargs["attention_mask"] = prompt_mask(self.length, hides, given)
            return (hidden,), kwargs

        return hook

    def _carry_out(self, layer: int, hidden: torch.Tensor, kwargs: Kwargs) -> torch.Tensor:
        """Run the method on the visual rows of `hidden` and apply its reduction.

        `hidden` is [1, rows, d], or [v, 1, rows, d] with all versions of the states.
        """
        began = now(hidden.device)
        state = StageState(self, self.recorder, self.word_logits, layer, hidden, kwargs)
        done = self._decide(state, layer)
        done = done if self.repacks else done.in_raster_order()
        self.done.append((layer, done, now(hidden.device) - began))
        if self.effect == "restart":
            raise StartAgain
        if self.effect in ("mask", "decode"):
            return hidden
        if self.effect == "bypass":
            self.full_hidden = hidden
        return self._shorten(hidden, done, state.local)

    def _decide(self, state: StageState, layer: int) -> Reduction:
        """Return the method's decision at a stage, or the ready one."""
        step: Any = self.step
        if step.inside:
            return dict(step.inside)[layer]
        keep = min(self.stages[layer].keep, len(self.visual))
        signals = state.signals(step.entry)
        self.supplied |= set(signals)
        return reduce(step.method, signals, keep, **step.options)

    def _restore(self, hidden: torch.Tensor) -> torch.Tensor:
        """Add the rows again that bypassed the layers since the last stage."""
        if self.full_hidden is None:
            return hidden
        full = self.full_hidden.clone()
        full[..., self.alive, :] = hidden  # [1, rows alive, d] into [1, all rows, d]
        self.full_hidden = None
        self.bring_all_back()
        return full

    def _hidden_rows(self, layer: int) -> torch.Tensor:
        """Return the rows of the sequence that the latest stage up to a layer did not keep."""
        anew = self.by_word.hidden_at(layer) if self.by_word else None
        if anew is not None:
            return anew
        decisions = [done for at, done, _ in self.done if at <= layer]
        seen = decisions[-1].cols if decisions else np.arange(self.entered)
        left_out = np.setdiff1d(np.arange(self.entered), seen)
        return self.visual_at_start[torch.as_tensor(left_out, device=self.alive.device)]

    def _shorten(self, hidden: torch.Tensor, done: Reduction, local: torch.Tensor) -> torch.Tensor:
        """Remove rows and write W x to the rows that are kept: [1, rows, d] -> [1, rows', d]."""
        chosen = torch.as_tensor(done.position, device=local.device)  # [m'], one per row of W
        kept = local[chosen].sort().values
        stays = torch.ones(hidden.shape[-2], dtype=torch.bool, device=hidden.device)
        stays[local] = False
        stays[kept] = True
        shorter = hidden[..., stays, :]
        place = torch.cumsum(stays, 0)[kept] - 1  # row of `hidden` -> row of `shorter`, [m']
        # rows of W are in raster order here, or in the method's own where positions are repacked
        merged = [apply_reduction(one[local], done) for one in hidden.flatten(0, -3)]
        shorter[..., place, :] = torch.stack(merged).view(
            *hidden.shape[:-2], len(place), hidden.shape[-1]
        )
        self.leave_only(stays, chosen)
        self.recorder.forget(chosen)
        return shorter

    def _sliced(self, kwargs: Kwargs, hidden: torch.Tensor, layer: int) -> Kwargs:
        """Remove the entries of rows that are not alive from a layer's keyword arguments."""
        alive, out = self.alive, sliced(kwargs, self.alive, self.length)
        if self.repacks and len(alive) < self.length:
            if self.windows and layer in self.windows.layers:
                out["attention_mask"] = self.windows.packed(alive)
            packed = torch.arange(len(alive), device=alive.device)[None]
            if out.get("position_ids") is not None:  # Ministral 3 scales its queries by them
                out["position_ids"] = packed.expand_as(out["position_ids"])
            out["position_embeddings"] = self.rotary(hidden, packed, layer)
        return out

    def _hide(self, layer: int) -> Callable[..., tuple[tuple[Any, ...], Kwargs]]:
        def hook(module: nn.Module, args: tuple, kwargs: Kwargs) -> tuple[tuple[Any, ...], Kwargs]:
            cache, given = cache_of(kwargs).layers[layer], kwargs.get("attention_mask")
            rows, keys = cache.get_seq_length() + 1, cache.keys.shape[-2] + 1
            sees = step_mask(rows, keys, self._hidden_rows(layer), given)
            return args, {**kwargs, "attention_mask": sees}

        return hook

    def _shift(self, removed: int, layer: int) -> Callable[..., tuple[tuple[Any, ...], Kwargs]]:
        def hook(module: nn.Module, args: tuple, kwargs: Kwargs) -> tuple[tuple[Any, ...], Kwargs]:
            hidden, kwargs = by_name(module, args, kwargs)
            positions = kwargs["position_ids"] - removed
            kwargs["position_ids"] = positions
            kwargs["position_embeddings"] = self.rotary(hidden, positions, layer)
            return (hidden,), kwargs

        return hook
