"""Which attention rows of an answer are recorded: after every step, only what a trace can store.

The recorded rows are those that chose an answer token. A row of every layer and head would take 13
MB per token for Qwen2.5-VL-7B with 4,096 visual tokens. Therefore only the mean over heads and the
mass on each block of the prompt are kept; single heads are kept while they are few enough.
"""

from __future__ import annotations

from collections import defaultdict

import torch
import torch.nn.functional as F

from tokviz.models.attention_call import AttentionCall
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.trace.schema import BLOCKS

ANSWER = BLOCKS.index("answer")


class AttentionRows:
    """The recorded parts of the softmax rows that chose each token, on the model's device."""

    def __init__(self, stages: DecoderStages, blocks: torch.Tensor, most: int) -> None:
        """Begin with nothing.

        Args:
            stages: says which rows are alive in each layer.
            blocks: int [rows], index in BLOCKS of each row that enters layer 0.
            most: largest number of answer tokens for which single heads are kept; a longer answer
                has none at all.
        """
        self.stages, self.most = stages, most
        self.member = F.one_hot(blocks, len(BLOCKS)).float()
        self.steps = 0
        self.means: dict[int, list[torch.Tensor]] = defaultdict(list)
        "Decoder layer -> per token the mean row over heads, [rows alive]."
        self.mass: dict[int, list[torch.Tensor]] = defaultdict(list)
        "Decoder layer -> per token the sum over each block, [h, b]."
        self.heads: dict[int, list[torch.Tensor]] = defaultdict(list)
        "Decoder layer -> per token the rows on the prompt, [h, rows alive]; maybe none."
        self.seen: dict[int, tuple[torch.Tensor, float | None]] = {}

    def read_call(self, layer: int, call: AttentionCall) -> None:
        """Keep a layer's last row; softmax and sums are computed at the end of the step."""
        products = call.last_products()
        self.seen[layer] = (call.last_row(), None) if products is None else (products, call.scaling)

    def close(self, written: int) -> None:
        """Reduce the rows of one step, many layers at once.

        Args:
            written: answer tokens among the keys.
        """
        groups: dict[object, list[int]] = defaultdict(list)
        for layer, (row, scaling) in self.seen.items():
            cut = self.is_cut(layer)
            alike = (id(self.stages.rows_in.get(layer)), row.shape, row.device, scaling, cut)
            groups[alike].append(layer)
        for layers in groups.values():
            # [l, h, keys]: one softmax for many layers, since small kernels cost time in each step
            rows = torch.stack([self.seen[layer][0] for layer in layers])
            scaling = self.seen[layers[0]][1]
            weights = rows if scaling is None else (rows.float() * scaling).softmax(-1)
            self._take(layers, weights, written)
        self.seen = {}
        self.end_step()

    def take(self, layers: list[int], rows: torch.Tensor, written: int) -> None:
        """Record the rows of layers whose caches hold the same keys.

        Args:
            layers: decoder layers.
            rows: float32 [l, h, keys], softmax over prompt and answer.
            written: tokens of the answer among the keys.
        """
        parts = self.stages.alike(layers)
        if len(parts) == 1:  # with sliding windows, equal caches may come from different rows
            self._take(layers, rows, written)
            return
        for part in parts:
            self._take(part, torch.stack([rows[layers.index(layer)] for layer in part]), written)

    def _take(self, layers: list[int], rows: torch.Tensor, written: int) -> None:
        """Reduce the rows [l, h, keys] of layers in which the same rows of the prompt are alive."""
        if self.is_cut(layers[0]):
            rows = self.stages.eviction.whole_prompt(layers, rows, written)  # type: ignore[union-attr]
        alive = self.stages.rows_at(layers[0])
        # a cache with a sliding window has dropped the oldest keys: their attention is 0
        dropped = len(alive) + written - rows.shape[-1]
        rows = F.pad(rows, (dropped, 0)) if dropped > 0 else rows
        prompt = rows[..., : len(alive)]  # [l, h, rows alive]
        member = self.member if len(alive) == len(self.member) else self.member[alive]
        mass = prompt @ member.to(rows.device)  # times one-hot [rows alive, b] -> [l, h, b]
        mass[..., ANSWER] = rows[..., len(alive) :].sum(-1)
        parts = [(self.means, prompt.mean(1)), (self.mass, mass)]
        if self.steps <= self.most:
            parts.append((self.heads, prompt))
        for kept, values in parts:
            for layer, value in zip(layers, values.unbind(0), strict=True):
                kept[layer].append(value)

    def is_cut(self, layer: int) -> bool:
        """Return whether tokens have left the cache of a layer."""
        return self.stages.eviction is not None and layer in self.stages.eviction.held

    def end_step(self) -> None:
        """Count a token; drop single heads once they are too many to be stored."""
        self.steps += 1
        if self.steps > self.most + 1:  # the step that ends an answer writes no token
            self.heads.clear()


def stacked(
    kept: dict[int, list[torch.Tensor]], layers: list[int], t: int, device: torch.device
) -> torch.Tensor:
    """Return the values of some layers for the first t tokens, [t, l, ...]."""
    every = [value.to(device) for layer in layers for value in kept[layer][:t]]
    # [l * t, ...] -> [t, l, ...]; one copy of what may be megabytes
    return torch.stack(every).unflatten(0, (len(layers), t)).transpose(0, 1)
