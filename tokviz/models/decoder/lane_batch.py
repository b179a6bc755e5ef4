"""Several lanes in one forward: each lane reads the token that it wrote last, one row per lane.

At batch size 1 the time of a step goes into reading the weights (GPU) or starting operations (small
models), so four rows cost little more than one. All operations except attention are batched as
usual. Attention uses one cache of all lanes without padding (see `batch_cache`), so lanes may
differ in length in every layer, in positions and in windows. A lane that edits attention or has a
contrast branch steps alone.

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
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tokviz.models.attention import observed
from tokviz.models.attention_call import AttentionCall, explicit_attention
from tokviz.models.clock import now
from tokviz.models.decoder.batch_cache import BatchCache, Columns
from tokviz.models.decoder.lane import Lane
from tokviz.models.decoder.windows import sliding_layers
from tokviz.models.families.parts import final_norm
from tokviz.models.families.shared_keys import owners, whole_prompt_layers
from tokviz.models.hooks import hooked

Hook = Callable[[nn.Module, tuple, dict[str, Any]], tuple[tuple, dict[str, Any]]]


class Batch:
    """The lanes of one model that currently step in one forward."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.owners: dict[int, int] = {}
        "Layer -> the earlier layer whose keys it reads."
        self.close()

    def step(self, lanes: Sequence[Lane]) -> None:
        """Read the last token of each lane and predict the next; other lanes leave the batch.

        Args:
            lanes: two or more lanes of one model, none of them `alone`.
        """
        began = time.perf_counter()
        for gone in [one for one in self.lanes if one not in lanes]:
            self.leave(gone)
        if self.lanes != list(lanes):
            self.join(lanes)
        first = self.lanes[0]
        self.cache.grow()
        self.rows: dict[int, torch.Tensor] = {}
        with hooked(self._handles()), observed(self._attend):
            output = first.model(
                input_ids=torch.tensor([[lane.ids[-1]] for lane in lanes], device=first.device),
                # With a mask of four axes the library builds none; `_attend` uses the lanes' own.
                attention_mask=torch.ones(
                    len(lanes), 1, 1, 1, dtype=torch.bool, device=first.device
                ),
                position_ids=torch.cat([lane.next_positions() for lane in lanes], -2),
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        logits = output.logits[:, -1].float()
        if first.capture.attention:
            self._hand_out_rows()
        seconds = now(logits.device) - began
        for lane, row in zip(self.lanes, logits, strict=True):
            lane.next_token.take(row)
            lane.spend(seconds, shared=True)

    def join(self, lanes: Sequence[Lane]) -> None:
        """Join the caches of these lanes into one; lanes that were in the batch leave first."""
        for one in list(self.lanes):
            self.leave(one)
        first = lanes[0]
        self.owners, own = owners(first.decoder), whole_prompt_layers(first.decoder)
        cached = [[lane.cached_keys(layer) for layer in range(own)] for lane in lanes]
        self.cache = BatchCache(
            [lane.cache for lane in lanes], cached, sliding_layers(first.decoder), first.device
        )
        self.lanes, self.slots = list(lanes), {id(lane): i for i, lane in enumerate(lanes)}
        for lane in lanes:
            lane.batch = self

    def leave(self, lane: Lane) -> None:
        """Remove a lane from the batch; its own cache holds its keys again."""
        self.cache.give_back(self.slots.pop(id(lane)))
        self.lanes = [one for one in self.lanes if one is not lane]
        lane.batch = None

    def close(self) -> None:
        """Drop the batch's cache; lanes that are still in the batch cannot step any more."""
        for lane in self.lanes:
            lane.batch = None
        self.lanes = []
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
        """Return a layer's attention output [lanes, 1, h, d], every lane over its own columns."""
        layer = getattr(call.module, "layer_idx", None)
        if layer is None:
            return None
        # query [lanes, h, 1, d] -> [1, h, lanes, d]: the lanes become queries of one sequence
        columns, query = self.columns_of(layer), call.query.transpose(0, 2)
        sees = columns.sees.to(query.device)
        one = AttentionCall(
            call.module, query, call.key, call.value, sees[None, None], call.scaling, False,
            call.softcap, call.sinks,
        )  # fmt: skip
        if self.lanes[0].capture.attention:
            hidden = columns.hidden.to(query.device)
            # [1, h, lanes, columns] -> [h, lanes, columns], softmax over each lane's own columns
            rows = one.softmax(one.all_logits()[0].masked_fill_(hidden, -torch.inf))
            self.rows[layer] = rows
            # the rows are there, so SDPA would compute them a second time; [lanes, 1, h, d]
            return one.output(rows[None]).transpose(0, 1)
        if not call.plain:
            return explicit_attention(one).transpose(0, 1)
        # heads that share keys go in as further queries, so that no key is copied
        kv_heads, width, heads = call.key.shape[1], query.shape[-1], query.shape[1]
        output = F.scaled_dot_product_attention(
            # [1, h, lanes, d] -> [1, h_kv, h/h_kv * lanes, d], the mask repeated likewise
            query.reshape(1, kv_heads, -1, width),
            call.key,
            call.value,
            sees.repeat(heads // kv_heads, 1),
            scale=one.scaling,
        )
        # [1, h_kv, h/h_kv * lanes, d] -> [1, h, lanes, d] -> [lanes, 1, h, d]
        return output.reshape(1, heads, len(self.lanes), -1).permute(2, 0, 1, 3)

    def _hand_out_rows(self) -> None:
        """Give each lane its attention rows of this step: its own columns, in order."""
        layers: dict[int, list[int]] = {}
        by_id: dict[int, Columns] = {}
        for layer in range(self.lanes[0].layers):
            columns = self.columns_of(layer)
            layers.setdefault(id(columns), []).append(layer)
            by_id[id(columns)] = columns
        for key, members in layers.items():
            stacked = torch.stack([self.rows[layer] for layer in members])
            for number, lane in enumerate(self.lanes):
                mine = by_id[key].of(self.slots[id(lane)])
                # [l, h, lanes, columns] -> this lane's row -> its own columns, [l, h, keys]
                own = stacked[:, :, number].index_select(-1, mine)
                lane.attention.take(members, own, len(lane.ids))  # type: ignore[union-attr]
        for lane in self.lanes:
            lane.attention.end_step()  # type: ignore[union-attr]

    # -- hooks ------------------------------------------------------------------------------------

    def _handles(self) -> list[Any]:
        """Hook the final norm to record states, and layers in which positions are renumbered."""
        first, handles = self.lanes[0], []
        if first.capture.readout:
            norm: nn.Module = final_norm(first.decoder)
            handles.append(norm.register_forward_hook(self._keep_states))
        for i, layer in enumerate(first.decoder.layers):  # type: ignore[arg-type]
            moved = [lane.stages.moved_at(i) for lane in self.lanes]
            if any(moved):
                hook = self._shift(torch.tensor(moved, device=first.device)[:, None], i)
                handles.append(layer.register_forward_pre_hook(hook, with_kwargs=True))
        return handles

    def _keep_states(self, module: nn.Module, args: Any, output: torch.Tensor) -> None:
        for lane, state in zip(self.lanes, output, strict=True):
            lane.recorded.states.append(state)

    def _shift(self, moved: torch.Tensor, layer: int) -> Hook:
        """Return the pre-hook that renumbers by `moved` [lanes, 1]."""
        rotary = self.lanes[0].stages.rotary

        def hook(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
            hidden = args[0] if args else kwargs["hidden_states"]
            positions, given = kwargs["position_ids"] - moved, kwargs["position_embeddings"]
            # a lane that is not renumbered may have M-RoPE positions in three axes: keep them
            embeddings = tuple(
                torch.where(moved[..., None] > 0, new, old)
                for new, old in zip(rotary(hidden, positions, layer), given, strict=True)
            )
            return args, {**kwargs, "position_ids": positions, "position_embeddings": embeddings}

        return hook
