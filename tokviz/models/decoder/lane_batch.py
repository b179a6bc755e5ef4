"""Several lanes in one forward: each lane reads the token that it wrote last, and maybe a draft.

At batch size 1 the time of a step goes into reading the weights (GPU) or starting operations (small
models), so ten rows cost little more than one. The tokens that are read, of all lanes, are one
sequence to the model: all operations except attention treat each token by itself. Attention uses
one cache of all lanes without padding (see `batch_cache`), so lanes may differ in length in every
layer, in positions, in windows, and in how many words of a draft they read (see `drafts`). A lane
that edits attention or has a contrast branch steps alone.

A batched product adds in another order than a product of one row, so it rounds differently.
Measured on a CPU with tiny models of all families and the embedded one, 12 words: in float32 every
word is the same and probabilities differ by less than 2e-6, but few are bit-identical; in bfloat16
they differ by up to 0.03, and a word may change where two are almost equally likely. Only a lane
that steps alone equals `generate()` bit for bit. For this reason `VLM.stream` has `together_after`,
the trace has a note, and the keep sweep, which judges whether an answer stays the same, never
batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tokviz.models.attention import observed
from tokviz.models.attention_call import AttentionCall, explicit_attention
from tokviz.models.clock import now
from tokviz.models.decoder.batch_cache import BatchCache, Columns
from tokviz.models.decoder.drafts import Draft, right_tokens
from tokviz.models.decoder.lane import Lane
from tokviz.models.decoder.windows import sliding_layers
from tokviz.models.families.parts import final_norm
from tokviz.models.families.shared_keys import keyed_layers, owners
from tokviz.models.families.state_versions import by_name
from tokviz.models.hooks import hooked

MOST_BYTES = 256_000_000
"""Size of the attention rows of one step, float32, all layers and heads; drafts are cut to it."""

FEWEST_ROWS = 5
"""Rows to which a step of 2 to 4 rows is filled. CPU libraries multiply so few rows more slowly
than these: 16 ms for one row, 22, 27 and 21 ms for 2 to 4, 15 ms for 5 (46 M parameters, MKL)."""

Hook = Callable[[nn.Module, tuple, dict[str, Any]], tuple[tuple, dict[str, Any]]]


class Batch:
    """The lanes of one model that currently step in one forward."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.owners: dict[int, int] = {}
        "Layer -> the earlier layer whose keys it reads."
        self.reading: list[Lane] = []
        "The lanes of the step."
        self.counts: list[int] = []
        "How many tokens each of them reads."
        self.close()

    def step(
        self, lanes: Sequence[Lane], drafts: Sequence[Draft] | None = None
    ) -> list[torch.Tensor]:
        """Read the last token of each lane, and its draft; lanes of the batch may be left out.

        Args:
            lanes: lanes of one model, none of them `alone`.
            drafts: tokens that each lane may write next; None = none.

        Returns:
            per lane the logits, float32 [words, v], of its next tokens: one, and one more for each
            token of its draft that it writes itself.
        """
        began = time.perf_counter()
        given = list(drafts) if drafts else [Draft()] * len(lanes)
        if any(lane.batch is not self for lane in lanes):
            self.join([*self.lanes, *(one for one in lanes if one not in self.lanes)])
        first, self.reading = lanes[0], list(lanes)
        if first.capture.attention:
            longest = max(self.most_read() // len(lanes) - 1, 0)
            given = [draft.cut(longest) for draft in given]
        ids = [[lane.ids[-1], *draft.tokens] for lane, draft in zip(lanes, given, strict=True)]
        if 1 < (rows := sum(map(len, ids))) < FEWEST_ROWS:  # nobody looks at what is filled in
            ids[-1] += ids[-1][-1:] * (FEWEST_ROWS - rows)
        self.counts = [len(own) for own in ids]
        slots = np.repeat([self.slots[id(lane)] for lane in lanes], self.counts)
        self.cache.grow(slots, np.concatenate([np.arange(count) for count in self.counts]))
        self.rows: dict[int, torch.Tensor] = {}
        self.states: torch.Tensor | None = None
        with hooked(self._handles()), observed(self._attend):
            output = first.model(
                input_ids=torch.tensor([list(chain(*ids))], device=first.device),
                # With a mask of four axes the library builds none; `_attend` uses the lanes' own.
                attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=first.device),
                position_ids=torch.cat(
                    [lane.next_positions(n) for lane, n in zip(lanes, self.counts, strict=True)], -1
                ),
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=len(slots),
            )
        logits = output.logits[0].float()
        best = logits.argmax(-1).tolist()
        found, words = [], []
        for lane, draft, own in zip(lanes, given, self._parts(), strict=True):
            right = right_tokens(draft, best[own], logits[own], lane.next_token, lane.ids)
            words.append(1 + right)
            # a copy, as the rows of wrong tokens are not kept
            found.append(logits[own][: 1 + right].clone())
        kept = [np.arange(n) < count for n, count in zip(self.counts, words, strict=True)]
        self.cache.settle(slots, np.concatenate(kept))
        self._hand_out(words)
        seconds = now(logits.device) - began
        for lane, count in zip(lanes, words, strict=True):
            lane.spend(seconds, shared=count)
        return found

    def most_read(self) -> int:
        """Return how many tokens a step can read whose attention rows are kept in memory."""
        first = self.reading[0]
        heads = first.model.config.get_text_config().num_attention_heads  # type: ignore[union-attr, operator]
        columns = max(layer.keys.shape[-2] for layer in self.cache.joined)
        return MOST_BYTES // (4 * first.layers * heads * columns)

    def _parts(self) -> list[slice]:
        """Return, per lane, its part of the tokens that the step reads."""
        ends = list(accumulate(self.counts, initial=0))
        return [slice(*pair) for pair in pairwise(ends)]

    def join(self, lanes: Sequence[Lane]) -> None:
        """Join the caches of these lanes into one; lanes that were in the batch leave first."""
        for one in list(self.lanes):
            self.leave(one)
        for lane in lanes:
            if lane.attention is not None:  # its rows need the keys of its own cache
                lane.attention.close_waiting()
        first = lanes[0]
        self.owners, own = owners(first.decoder), keyed_layers(first.decoder)
        cached = [[lane.cached_keys(layer) for layer in range(own)] for lane in lanes]
        self.cache = BatchCache(
            [lane.cache for lane in lanes], cached, sliding_layers(first.decoder), first.device
        )
        self.lanes, self.slots = list(lanes), {id(lane): i for i, lane in enumerate(lanes)}
        for lane in lanes:
            lane.batch = self

    def leave(self, lane: Lane, with_keys: bool = True) -> None:
        """Remove a lane from the batch; its own cache holds its keys again, if it needs them."""
        slot = self.slots.pop(id(lane))
        if with_keys:
            self.cache.give_back(slot)
        else:
            self.cache.give_up(slot)
        self.lanes = [one for one in self.lanes if one is not lane]
        lane.batch = None
        if not self.lanes:
            self.close()

    def close(self) -> None:
        """Drop the batch's cache; lanes that are still in the batch cannot step any more."""
        for lane in self.lanes:
            lane.batch = None
        self.lanes, self.reading, self.counts = [], [], []
        self.cache = BatchCache([], [], {}, torch.device("cpu"))

    def cache_size(self, lane: Lane) -> tuple[int, list[int]]:
        """Return the bytes that a lane's keys and values take, and its rows per layer."""
        slot = self.slots[id(lane)]
        return self.cache.bytes(slot), self.cache.lengths(slot) + [0] * len(self.owners)

    def columns_of(self, layer: int) -> Columns:
        """Return the columns that a layer reads: its own, or those of the layer it shares with."""
        return self.cache.columns[self.owners.get(layer, layer)]

    # -- attention --------------------------------------------------------------------------------

    def _attend(self, call: AttentionCall) -> torch.Tensor | None:
        """Return a layer's attention output [1, read, h, d], every lane over its own columns."""
        layer = getattr(call.module, "layer_idx", None)
        if layer is None:
            return None
        columns, query = self.columns_of(layer), call.query
        sees = columns.sees.to(query.device)
        one = AttentionCall(
            call.module, query, call.key, call.value, sees[None, None], call.scaling, False,
            call.softcap, call.sinks,
        )  # fmt: skip
        if self.reading[0].capture.attention:
            hidden = columns.hidden.to(query.device)
            # [1, h, read, columns] -> [h, read, columns], softmax over each lane's own columns
            rows = one.softmax(one.all_logits()[0].masked_fill_(hidden, -torch.inf))
            self.rows[layer] = rows
            # the rows are there, so SDPA would compute them a second time
            return one.output(rows[None])
        if not call.plain:
            return explicit_attention(one)
        # heads that share keys go in as further queries, so that no key is copied
        kv_heads, width, heads = call.key.shape[1], query.shape[-1], query.shape[1]
        output = F.scaled_dot_product_attention(
            # [1, h, read, d] -> [1, h_kv, h/h_kv * read, d], the mask repeated likewise
            query.reshape(1, kv_heads, -1, width),
            call.key,
            call.value,
            sees.repeat(heads // kv_heads, 1),
            scale=one.scaling,
        )
        # [1, h_kv, h/h_kv * read, d] -> [1, h, read, d] -> [1, read, h, d]
        return output.reshape(1, heads, len(sees), -1).transpose(1, 2)

    def _hand_out(self, words: Sequence[int]) -> None:
        """Give each lane the states and attention rows of its right tokens.

        Args:
            words: per lane, how many of the tokens that the step read were right.
        """
        if self.states is not None:
            for lane, own, count in zip(self.reading, self._parts(), words, strict=True):
                lane.recorded.states += self.states[own][:count].split(1)
        if self.rows:
            self._hand_out_rows(words)

    def _hand_out_rows(self, words: Sequence[int]) -> None:
        """Give each lane its attention rows of this step: its own columns, in order."""
        layers: dict[int, list[int]] = {}
        by_id: dict[int, Columns] = {}
        for layer in range(self.reading[0].layers):
            columns = self.columns_of(layer)
            layers.setdefault(id(columns), []).append(layer)
            by_id[id(columns)] = columns
        for key, members in layers.items():
            stacked = torch.stack([self.rows[layer] for layer in members])
            for lane, part, count in zip(self.reading, self._parts(), words, strict=True):
                mine = by_id[key].of(self.slots[id(lane)])
                # [l, h, read, columns] -> this lane's right tokens -> its columns, [l, h, r, keys]
                own = stacked[:, :, part][:, :, :count].index_select(-1, mine)
                lane.attention.take(members, own, len(lane.ids))  # type: ignore[union-attr]
        for lane, count in zip(self.reading, words, strict=True):
            lane.attention.end_step(count)  # type: ignore[union-attr]

    # -- hooks ------------------------------------------------------------------------------------

    def _handles(self) -> list[Any]:
        """Hook the final norm to record states, and layers in which positions are renumbered."""
        first, handles = self.reading[0], []
        if first.capture.readout:
            norm: nn.Module = final_norm(first.decoder)
            handles.append(norm.register_forward_hook(self._keep_states))
        for i, layer in enumerate(first.decoder.layers):  # type: ignore[arg-type]
            moved = [lane.stages.moved_at(i) for lane in self.reading]
            if any(moved):
                each = torch.tensor(np.repeat(moved, self.counts), device=first.device)
                handles.append(
                    layer.register_forward_pre_hook(self._shift(each, i), with_kwargs=True)
                )
        return handles

    def _keep_states(self, module: nn.Module, args: Any, output: torch.Tensor) -> None:
        self.states = output[0]

    def _shift(self, moved: torch.Tensor, layer: int) -> Hook:
        """Return the pre-hook that renumbers by `moved` [read]."""
        rotary = self.reading[0].stages.rotary

        def hook(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
            hidden, kwargs = by_name(module, args, kwargs)
            positions, given = kwargs["position_ids"] - moved, kwargs["position_embeddings"]
            # a lane that is not renumbered may have M-RoPE positions in three axes: keep them
            embeddings = tuple(
                torch.where(moved[:, None] > 0, new, old)
                for new, old in zip(rotary(hidden, positions, layer), given, strict=True)
            )
            moved_to = {"position_ids": positions, "position_embeddings": embeddings}
            return (hidden,), kwargs | moved_to

        return hook
