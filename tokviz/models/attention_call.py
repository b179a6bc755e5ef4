"""One call of an attention module: its softmax rows and column sums, computed only when asked."""

from __future__ import annotations

from collections.abc import Callable

import torch

ROW_CHUNK = 128
"Query rows whose softmax is in memory at once while column sums are computed."


class AttentionCall:
    """One call of one attention module, from which rows and sums can be computed on demand."""

    def __init__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float | None,
        causal: bool,
        softcap: float | None = None,
        sinks: torch.Tensor | None = None,
    ) -> None:
        """Args: query [b, h, q, d]; key, value [b, h_kv, k, d]; mask None, bool or additive.

        `sinks` [h]: a learned logit per head that takes its share of every row and gives nothing
        (GPT-OSS), so that rows sum to less than 1.
        """
        self.module, self.query, self.key, self.value = module, query, key, value
        self.mask, self.causal, self.softcap, self.sinks = mask, causal, softcap, sinks
        self.scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
        self.edits: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.counted: torch.Tensor | None = None
        "Float [b, q], 1 for queries that `received` counts and 0 for padding; None = all count."

    def of(self, number: int) -> AttentionCall:
        """Return the call of one element of the batch."""
        one = slice(number, number + 1)
        mask = self.mask if self.mask is None or len(self.mask) == 1 else self.mask[one]
        alone = AttentionCall(
            self.module, self.query[one], self.key[one], self.value[one], mask,
            self.scaling, self.causal, self.softcap, self.sinks,
        )  # fmt: skip
        alone.counted = None if self.counted is None else self.counted[one]
        return alone

    def within(self, part: slice) -> AttentionCall:
        """Return the call of one part of the sequence, where a block mask lets it see itself only.

        Args:
            part: rows of queries and keys, which are the same.
        """
        query, key, value = (x[:, :, part] for x in (self.query, self.key, self.value))
        return AttentionCall(
            self.module, query, key, value, None,
            self.scaling, self.causal, self.softcap, self.sinks,
        )  # fmt: skip

    @property
    def plain(self) -> bool:
        """True where a row is the softmax of scaled, masked products: what SDPA computes."""
        return self.softcap is None and self.sinks is None

    def softmax(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the weights [..., h, r, k] of masked logits, learned sinks taken off."""
        if self.sinks is None:
            return logits.softmax(-1)
        sinks = self.sinks.to(logits.dtype)[:, None, None].expand(*logits.shape[:-1], 1)
        return torch.cat([logits, sinks], -1).softmax(-1)[..., :-1]

    def logits(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the masked, scaled logits of the given query rows, float32 [b, h, rows, k]."""
        b, heads, _, width = self.query.shape
        kv_heads = self.key.shape[1]
        # grouped heads: [b, h, rows, d] -> [b, h_kv, h/h_kv * rows, d], so that no key is copied
        query = self.query[:, :, rows].reshape(b, kv_heads, -1, width)
        logits = self._capped(torch.matmul(query, self.key.transpose(-1, -2)).float())
        # [b, h_kv, h/h_kv * rows, k] -> [b, h, rows, k]: query heads of one key head are neighbours
        logits = logits.reshape(b, heads, len(rows), -1)
        hidden = self.hidden(rows)
        if hidden is not None and hidden.dtype == torch.bool:
            return logits.masked_fill(hidden, float("-inf"))
        return logits if hidden is None else logits + hidden

    def rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the softmax of the given query rows, float32 [b, h, rows, k], edits included."""
        weights = self.softmax(self.logits(rows))
        for edited, theirs in self.edits:
            # [r, 1] == [edited] -> pairs of equal row numbers
            here, there = torch.nonzero(rows[:, None] == edited, as_tuple=True)
            # [h, pairs, k] on both sides; edits are for a batch of one
            weights[0, :, here] = theirs[:, there]
        return weights

    def all_logits(self) -> torch.Tensor:
        """Return the scaled logits of every query row, without any mask, float32 [b, h, q, k]."""
        b, heads, queries, width = self.query.shape
        # as in `logits`, for every row: [b, h_kv, h/h_kv * q, d]
        query = self.query.reshape(b, self.key.shape[1], -1, width)
        logits = self._capped(torch.matmul(query, self.key.transpose(-1, -2)).float())
        return logits.reshape(b, heads, queries, -1)

    def replace_rows(self, rows: torch.Tensor, weights: torch.Tensor) -> None:
        """Use other weights for some query rows, for a batch of one.

        Args:
            rows: [r] query rows, ascending, none of them edited before.
            weights: [h, r, k] that replace their softmax.
        """
        self.edits.append((rows, weights))

    def edited(self, unedited: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the call's output [1, q, h, d_v] with the edited rows in it.

        Args:
            unedited: returns the output without edits; not called if every row is edited.
        """
        whole = sum(len(rows) for rows, _ in self.edits) == self.query.shape[2]
        # [1, q, h, d_v]: the slice gives q and h, in this order
        shape = (1, *self.query.shape[2:0:-1], self.value.shape[-1])
        output = self.value.new_empty(shape) if whole else unedited().clone()
        for rows, weights in self.edits:
            output[:, rows] = self.output(weights[None])
        return output

    def last_row(self) -> torch.Tensor:
        """Return the softmax of the last query row, float32 [h, k], for a batch of one.

        The same as `rows` of that row, but without building an index, since this runs at every
        decode step.
        """
        for rows, weights in self.edits:
            if int(rows[-1]) == self.query.shape[2] - 1:
                return weights[:, -1]
        kv_heads, width = self.key.shape[1], self.query.shape[-1]
        # [h, d] -> [h_kv, h/h_kv, d]; logits [h_kv, h/h_kv, k] -> [h, k]
        query = self.query[0, :, -1].reshape(kv_heads, -1, width)
        logits = self._capped(torch.matmul(query, self.key[0].transpose(-1, -2)).float())
        logits = logits.reshape(self.query.shape[1], -1)
        if self.mask is not None:
            mask = self.mask[0, :, -1]
            if mask.dtype == torch.bool:
                logits = logits.masked_fill(~mask, float("-inf"))
            else:
                logits = logits + mask.float()
        # [h, k] -> one query row, [h, 1, k], and back
        return logits.softmax(-1) if self.sinks is None else self.softmax(logits[:, None])[:, 0]

    def last_query(self) -> torch.Tensor | None:
        """Return the last query row [1, h, 1, d] of a batch of one.

        None where its softmax row is made of more than products with the keys: a mask, a soft cap,
        learned sinks, an edit.
        """
        plain = self.mask is None and self.plain and not self.edits
        return self.query[:, :, -1:] if plain else None

    def received(self) -> torch.Tensor:
        """Return the attention that each key receives, mean over heads and queries, [b, k].

        Padding, which no query sees, is no query either.
        """
        total = torch.zeros(self.key.shape[0], self.key.shape[2], device=self.key.device)
        count = self.query.shape[2]
        if self.counted is not None:
            for chunk in torch.arange(count, device=self.key.device).split(ROW_CHUNK):
                weight = self.counted[:, None, chunk, None]  # [b, 1, rows, 1]
                total += (self.rows(chunk) * weight).sum(2).mean(1)
            return total / self.counted.sum(1, keepdim=True)
        if self.half_free:
            for query in self.query.split(ROW_CHUNK, 2):
                total += self._half_sums(query)
            return total / count
        for chunk in torch.arange(count, device=self.key.device).split(ROW_CHUNK):
            total += self.rows(chunk).sum(2).mean(1)
        return total / count

    @property
    def half_free(self) -> bool:
        """True for 16-bit calls where every query sees every key, and nothing was edited."""
        free = self.mask is None and not self.causal and self.plain and not self.edits
        return free and self.query.dtype != torch.float32

    def _half_sums(self, query: torch.Tensor) -> torch.Tensor:
        """Sum the softmax of some query rows [b, h, q, d] over them, mean over heads, [b, k].

        Weights are 16 bits wide, as eager attention rounds them, and added in 32 bits. This moves 8
        bytes per entry of a map instead of 28; with the 16,384 patches of a Qwen tower, memory
        traffic is what limits the speed on a GPU.
        """
        b, heads, rows, width = query.shape
        kv_heads, keys = self.key.shape[1:3]
        # [b, h, rows, d] -> [b * h_kv, h/h_kv * rows, d]
        flat = query.reshape(b * kv_heads, -1, width)
        # [b, h_kv, k, d] -> [b * h_kv, d, k]
        turned = self.key.reshape(b * kv_heads, keys, width).transpose(1, 2)
        # With beta = 0 the first argument only sets the type. alpha scales within the product,
        # which saves one pass over the map.
        logits = torch.baddbmm(flat.new_zeros(1, 1, 1), flat, turned, beta=0, alpha=self.scaling)
        weights = logits.softmax(-1).reshape(b, heads * rows, keys)
        return weights.sum(1, dtype=torch.float32) / heads

    def output(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the attention output of softmax maps [b, h, q, k], as SDPA would, [b, q, h, d]."""
        b, heads, queries, keys = weights.shape
        kv_heads = self.value.shape[1]
        # [b, h, q, k] -> [b, h_kv, h/h_kv * q, k]; times [b, h_kv, k, d_v]
        grouped = weights.to(self.value.dtype).reshape(b, kv_heads, -1, keys)
        mixed = torch.matmul(grouped, self.value).reshape(b, heads, queries, -1)
        # [b, h, q, d_v] -> [b, q, h, d_v], the layout that the library expects
        return mixed.transpose(1, 2).contiguous()

    def _capped(self, products: torch.Tensor) -> torch.Tensor:
        """Scale dot products, and apply the soft cap if the model has one."""
        logits = products * self.scaling
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap

    def hidden(self, rows: torch.Tensor) -> torch.Tensor | None:
        """Return which keys are hidden from the rows: bool (True = hidden), additive, or None."""
        if self.mask is not None:
            # a mask with a single query row holds for all query rows
            mask = self.mask[:, :, rows] if self.mask.shape[2] > 1 else self.mask
            return ~mask if mask.dtype == torch.bool else mask.float()
        queries, keys = self.query.shape[2], self.key.shape[2]
        if not self.causal or queries == 1:
            return None
        # with a cache the q queries are the last of the k positions: [k] > [rows, 1] -> [rows, k]
        return torch.arange(keys, device=rows.device) > rows[:, None] + (keys - queries)


def seen_keys(mask: torch.Tensor, batch: int) -> torch.Tensor:
    """Return which keys the last query of each row sees, float [b, k].

    Args:
        mask: [1 or b, 1, q, k], bool or additive.
        batch: b.
    """
    last = mask[:, 0, -1]
    return (last if last.dtype == torch.bool else last == 0).float().expand(batch, -1)


def explicit_attention(call: AttentionCall) -> torch.Tensor:
    """Return attention with a soft cap on its logits (Gemma 2) or learned sinks (GPT-OSS).

    SDPA can do neither. The same steps in the same order and types as the library's eager
    attention of these models.

    Returns:
        [b, q, h, d].
    """
    # [b, h_kv, k, d] -> [b, h, k, d]: one copy of each key head per query head
    query, groups = call.query, call.query.shape[1] // call.key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) for x in (call.key, call.value))
    logits = torch.matmul(query, key.transpose(2, 3)) * call.scaling
    if call.softcap is not None:
        logits = torch.tanh(logits / call.softcap) * call.softcap
    hidden = call.hidden(torch.arange(query.shape[2], device=query.device))
    if hidden is not None and hidden.dtype == torch.bool:
        hidden = torch.zeros_like(hidden, dtype=logits.dtype).masked_fill(
            hidden, torch.finfo(logits.dtype).min
        )
    logits = logits if hidden is None else logits + hidden.to(logits.dtype)
    if call.sinks is None:
        weights = logits.softmax(-1, dtype=torch.float32).to(query.dtype)
    else:
        sinks = call.sinks.to(logits.dtype)[:, None, None].expand(*logits.shape[:-1], 1)
        logits = torch.cat([logits, sinks], -1)
        weights = (logits - logits.amax(-1, keepdim=True)).softmax(-1)[..., :-1]
    return torch.matmul(weights.to(value.dtype), value).transpose(1, 2).contiguous()
