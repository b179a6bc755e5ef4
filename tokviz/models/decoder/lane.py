"""One answer being written: prefill, decode steps, what is recorded, and its KV cache in bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from tokviz.capture import Capture
from tokviz.models.attention import observed
from tokviz.models.attention_call import AttentionCall
from tokviz.models.clock import now
from tokviz.models.decoder.attention_edits import Editing
from tokviz.models.decoder.attention_rows import AttentionRows
from tokviz.models.decoder.batch_cache import CachedKeys, can_share
from tokviz.models.decoder.growing_cache import growing_cache
from tokviz.models.decoder.head_shift import ShiftedHeads
from tokviz.models.decoder.next_token import NextToken
from tokviz.models.decoder.predictions import Predictions
from tokviz.models.decoder.prompt_records import PromptRecords
from tokviz.models.decoder.recorded_states import RecordedStates
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.models.decoder.retracing import Retracing
from tokviz.models.decoder.unmerged_rows import MergedCall
from tokviz.models.families.family import Family, Features
from tokviz.models.families.layer_kinds import cache_bytes
from tokviz.models.families.parts import final_norm
from tokviz.models.families.shared_keys import keyed_layers, last_row_layers
from tokviz.models.families.state_versions import entering
from tokviz.models.hooks import hooked
from tokviz.trace.schema import BLOCKS


class CacheHolder(Protocol):
    """The part of a batch that a lane uses while the batch holds the lane's cache."""

    def leave(self, lane: Lane, with_keys: bool = True) -> None:
        """Remove a lane from the batch; its own cache holds its keys again, if it needs them."""

    def cache_size(self, lane: Lane) -> tuple[int, list[int]]:
        """Return the bytes that a lane's keys and values take, and its rows per layer."""


class Lane:
    """The language model's part of one run; each method does at most one forward."""

    def __init__(
        self,
        family: Family,
        model: nn.Module,
        stages: DecoderStages,
        positions: torch.Tensor,
        capture: Capture,
        sink_dims: Sequence[int] = (),
        blocks: np.ndarray | None = None,
        editing: Editing | None = None,
        keeps_entry: bool = False,
        heads_of: int = 0,
        changing: Retracing | ShiftedHeads | None = None,
    ) -> None:
        """Prepare an empty cache.

        Args:
            family: the model's family.
            model: the model.
            stages: what happens to visual tokens inside the language model.
            positions: [..., 1, rows] position ids of the sequence entering layer 0.
            capture: what to record.
            sink_dims: the model's sink dimensions; with none, phi is not recorded.
            blocks: int [rows], index in BLOCKS of each row; None = all text.
            editing: an edit of attention.
            keeps_entry: keep the state that `early_logits` reads.
            heads_of: largest number of answer tokens for which single heads are kept.
            changing: adds something to outputs of an MLP, or of heads.
        """
        self.family, self.model, self.stages = family, model, stages
        self.decoder = family.decoder(model)
        self.last_row_only = last_row_layers(self.decoder)
        "Layers that compute the last row of a prompt only -> the layer whose keys they read."
        # the states of the other rows, which lens and statistics read, do not exist there
        self.capture = replace(capture, lens=0, states=False) if self.last_row_only else capture
        self.sink_dims = torch.tensor(list(sink_dims), dtype=torch.long, device=positions.device)
        self.layers = len(self.decoder.layers)  # type: ignore[arg-type]
        self.positions = positions
        self.cache = growing_cache(model.config.get_text_config())  # type: ignore
        self.recorded = RecordedStates()
        self.device = positions.device
        which = np.full(positions.shape[-1], BLOCKS.index("text")) if blocks is None else blocks
        block = torch.as_tensor(which, device=self.device)
        self.prompt_records = PromptRecords(self.capture, stages, block)
        self.attention = None
        if capture.attention:
            self.attention = AttentionRows(stages, block, heads_of, self.cache)
        self.editing, self.keeps_entry, self.changing = editing, keeps_entry, changing
        self.entering: torch.Tensor | None = None
        "[d], state of the last row that was read, before any layer."
        self.ids: list[int] = []
        self.predictions = Predictions(capture.candidates)
        self.next_token = NextToken(model)
        self.prefill_seconds = self.decode_seconds = self.shared_seconds = 0.0
        self.shared_words = 0
        "Tokens that were predicted in steps of a batch."
        self.steps_alone: list[float] = []
        "Seconds of each decode step that no other lane took part in."
        self.stepped_at = 0.0
        "When the last forward ended, in seconds of `time.perf_counter`."
        self.batch: CacheHolder | None = None
        "The batch that this lane steps in at the moment."

    def prefill(
        self,
        input_ids: torch.Tensor,
        features: Features,
        row_inputs: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Read the prompt.

        Args:
            input_ids: [1, rows], as many placeholders as features.
            features: of the m visual tokens; none for a prompt without placeholders.
            row_inputs: further inputs of the model with one entry per row, such as token types.
        """
        began = time.perf_counter()
        images = self.family.shown(self.model, input_ids, features)
        following = self.family.during_prefill(self.model, self.stages)
        with (
            self._recording(prefill=True),
            following,
            self.stages.during_prefill(),
            hooked(self._entry_hooks()),
        ):
            output = self.model(
                input_ids=input_ids,
                attention_mask=torch.ones_like(input_ids),
                position_ids=self.positions,
                mm_encoder_outputs=images,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
                **(row_inputs or {}),
            )
        self._take(output.logits)
        if self.stages.eviction:
            self.stages.eviction.finish(self.cache)
        self.stepped_at = time.perf_counter()
        self.prefill_seconds = self.stepped_at - began
        self.length = input_ids.shape[1]  # the keys in the cache

    def step(self) -> None:
        """Read the token that was written last, and predict the next."""
        self.leave()
        began = time.perf_counter()
        device = self.positions.device
        with self._recording(prefill=False), self.stages.during_decode():
            output = self.model(
                # as in `generate()`: the library looks through a mask, even if it hides nothing
                input_ids=torch.tensor([[self.ids[-1]]], device=device),
                position_ids=self.next_positions(),
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self._take(output.logits)
        self.spend(time.perf_counter() - began)

    def next_positions(self, count: int = 1) -> torch.Tensor:
        """Return the position ids of the last written token and of those after it.

        Args:
            count: how many tokens.

        Returns:
            [..., 1, count].
        """
        first = self.positions[..., -1:] + len(self.ids)
        return first if count == 1 else first + torch.arange(count, device=self.device)

    def spend(self, seconds: float, shared: int = 0) -> None:
        """Add the seconds of a decode step.

        Args:
            seconds: of the whole step; a shared step counts in full for each of its lanes.
            shared: tokens of this lane that a shared step predicted; 0 = the lane stepped alone.
        """
        self.stepped_at = time.perf_counter()
        self.decode_seconds += seconds
        if shared:
            self.shared_seconds += seconds
            self.shared_words += shared
        else:
            self.steps_alone.append(seconds)

    # -- in a batch -------------------------------------------------------------------------------

    @property
    def alone(self) -> bool:
        """True if this lane cannot step in one forward with other lanes."""
        own = (self.editing, self.changing, self.stages.unmerged, self.stages.by_word)
        alone = self.keeps_entry or any(one is not None for one in own)
        return alone or not can_share(self.cache, keyed_layers(self.decoder))

    def leave(self, with_keys: bool = True) -> None:
        """Leave the batch; the lane's own cache holds its keys again, unless it writes no more."""
        if self.batch is not None:
            self.batch.leave(self, with_keys)

    def cached_keys(self, layer: int) -> CachedKeys:
        """Return which keys the lane's own cache holds in a layer."""
        places, seen, total = self.stages.cached(layer)
        # the last written token has not been read yet, so it has no key
        after = np.arange(total, total + max(len(self.ids) - 1, 0))
        # a cache with a sliding window has dropped the oldest keys and holds the last `count`
        count = self.cache.layers[layer].keys.shape[-2]  # type: ignore[union-attr]
        return CachedKeys(
            np.concatenate([places, after])[-count:],
            np.concatenate([seen, np.ones(len(after), bool)])[-count:],
            total + len(after),
        )

    def kv(self) -> tuple[int, list[int]]:
        """Return the bytes of the lane's keys and values, and the rows of each layer."""
        return cache_bytes(self.cache) if self.batch is None else self.batch.cache_size(self)

    def write(self, token: int | None = None) -> int:
        """Append the chosen next token (or the given one) to the answer; return it."""
        chosen = self.best()  # also where a token is given: it tells logits that are no numbers
        token = chosen if token is None else token
        self.predictions.add(self.logits, token)  # type: ignore[arg-type]
        self.ids.append(token)
        return token

    def best(self) -> int:
        """Return the next token as greedy generate() chooses it, the lowest id on a tie."""
        return self.next_token.chosen(self.ids)

    @property
    def logits(self) -> torch.Tensor | None:
        """The next token's logits, float32 [v]; see `NextToken`."""
        return self.next_token.logits

    def early_logits(self) -> torch.Tensor:
        """Return the head's logits of the last row's input state, no layer and no norm, [v]."""
        return self.family.word_logits(self.model, self.entering)  # type: ignore[arg-type]

    def _take(self, logits: torch.Tensor) -> None:
        last = logits[0, -1].float()
        # some models give the logits of the whole prompt, which a view would keep
        self.next_token.take(last if logits.shape[1] == 1 else last.clone())
        now(logits.device)

    # -- recording --------------------------------------------------------------------------------

    @contextmanager
    def _recording(self, prefill: bool) -> Iterator[None]:
        """Observe attention, final states and, in the prefill, the residual stream."""
        handles: list[Any] = []
        if self.keeps_entry:
            first = self.decoder.layers[0]  # type: ignore[index]
            handles.append(first.register_forward_pre_hook(self._keep_entry, with_kwargs=True))
        if self.capture.readout:
            norm: nn.Module = final_norm(self.decoder)
            handles.append(norm.register_forward_hook(self._keep_states))
        if prefill:
            handles += self.prompt_records.hooks()
        if self.changing is not None:
            handles += self.changing.hooks()
        self.in_prefill = prefill
        wanted = self.capture.flow or self.stages.stages or self.stages.eviction
        by_word = None if prefill else self.stages.by_word
        observes = self.capture.attention or (prefill and wanted) or self.editing or by_word
        # a step that only records attention rows needs no more than its queries
        changed = self.editing or by_word or self.stages.unmerged
        only_rows = self.attention is not None and not prefill and not changed
        plain = self.attention.read_step if only_rows else None  # type: ignore[union-attr]
        with hooked(handles), observed(self._read_call if observes else None, plain):
            yield
        if by_word:
            by_word.close()
        if self.attention is not None:
            self.attention.close_step(len(self.ids))

    def _read_call(self, call: AttentionCall) -> None:
        layer = getattr(call.module, "layer_idx", None)
        if layer is None:  # attention outside the decoder has no number
            return
        if self.stages.unmerged is not None:
            call = MergedCall(call, self.stages.unmerged, len(self.ids))
        # the edit comes first, so that everything else records edited rows
        if self.editing is not None:
            known = not self.ids and layer in self.recorded.sinks
            phi = self.recorded.phi([layer], call.query.device)[0] if known else None
            self.editing.apply(call, layer, len(self.ids), phi)
        if not self.in_prefill and self.stages.by_word:
            self.stages.by_word.choose(layer, call)
        if self.in_prefill and layer not in self.last_row_only:
            if self.stages.stages:
                self.stages.recorder.read_call(call)
            self.prompt_records.read_call(layer, call)
            if self.stages.eviction:
                self.stages.eviction.read_call(layer, call)
        if self.attention is not None:
            self.attention.read_call(layer, call)

    def _keep_entry(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.entering = entering(module, args, kwargs)[0, -1]

    def _keep_states(self, module: nn.Module, args: Any, output: torch.Tensor) -> None:
        self.recorded.states.append(output[0])

    def _entry_hooks(self) -> list[Any]:
        """Hook what enters each layer in the prefill; after the stages, which shorten it."""
        looks: list[Callable[[int, torch.Tensor], None]] = []
        if len(self.sink_dims):
            looks.append(self._keep_sinks)
        if self.capture.states:
            looks.append(self.prompt_records.at_input)

        def look(layer: int, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            states = entering(module, args, kwargs)[0]
            for one in looks:
                one(layer, states)

        blocks: Any = self.decoder.layers if looks else ()
        return [
            block.register_forward_pre_hook(partial(look, i), with_kwargs=True)
            for i, block in enumerate(blocks)
        ]

    def _keep_sinks(self, layer: int, states: torch.Tensor) -> None:
        # a layer that shares keys reads those made of the states that entered their owner
        own = self.stages.owners.get(layer)
        if own is None:
            self.recorded.keep_sinks(layer, states, self.sink_dims)
        else:
            self.recorded.sinks[layer] = self.recorded.sinks[own]
