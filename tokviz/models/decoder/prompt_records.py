"""What a prefill records about the blocks of the prompt and about every visual token's state.

Recorded only with `Capture.flow`, `Capture.states` or `Capture.lens`. Softmax maps are summed a few
rows at a time and never kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from tokviz.analysis.attention_rank import effective_rank
from tokviz.capture import Capture
from tokviz.models.attention_call import ROW_CHUNK, AttentionCall
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.models.families.state_versions import leaving, returned_states
from tokviz.trace.schema import BLOCKS

IMAGE = BLOCKS.index("image")


class PromptRecords:
    """Records the arrays that `capture` asks for, layer by layer, on the model's device."""

    def __init__(self, capture: Capture, stages: DecoderStages, blocks: torch.Tensor) -> None:
        """Begin with nothing recorded.

        Args:
            capture: what to record.
            stages: says which rows are alive in each layer.
            blocks: int [rows], index in BLOCKS of each row that enters layer 0.
        """
        self.capture, self.stages, self.blocks = capture, stages, blocks
        self.flow: dict[int, torch.Tensor] = {}
        "Decoder layer -> attention of the rows of each block on each block [b, b]."
        self.means: dict[int, torch.Tensor] = {}
        "Decoder layer -> mean state of the visual and of the other rows at its input [2, d]."
        self.ranks: dict[int, float] = {}
        "Decoder layer -> effective rank of the visual rows at its input."
        self.lens: dict[int, torch.Tensor] = {}
        "Decoder layer -> normed states of the visual rows after it [m, d]."

    def hooks(self) -> list[Any]:
        """Hook the layers for one prefill; the caller removes the handles."""
        decoder, handles = self.stages.decoder, []
        for number, layer in enumerate(decoder.layers):  # type: ignore[arg-type]
            if self.capture.lens:
                handles.append(layer.register_forward_hook(self._at_output(number)))
        return handles

    def read_call(self, layer: int, call: AttentionCall) -> None:
        """Sum one layer's attention by blocks."""
        if not self.capture.flow:
            return
        block = self._block_at(layer)
        # one-hot [rows, b]: [b, chunk] @ ([chunk, rows] @ [rows, b]) -> [b, b], summed over chunks
        member = nn.functional.one_hot(block, len(BLOCKS)).float()
        sums = torch.zeros(len(BLOCKS), len(BLOCKS), device=block.device)
        for chunk in torch.arange(len(block), device=block.device).split(ROW_CHUNK):
            sums += member[chunk].T @ (call.rows(chunk)[0].mean(0) @ member)
        count = member.sum(0)[:, None]
        self.flow[layer] = sums / torch.where(count > 0, count, torch.nan)

    def _block_at(self, layer: int) -> torch.Tensor:
        return self.blocks[self.stages.rows_at(layer)]

    def at_input(self, layer: int, states: torch.Tensor) -> None:
        """Record the means and the rank of what enters a layer, [rows, d]."""
        visual, states = self._block_at(layer) == IMAGE, states.float()
        self.means[layer] = torch.stack([mean(states[visual]), mean(states[~visual])])
        singular = torch.linalg.svdvals(states[visual]).cpu().numpy()
        self.ranks[layer] = float(effective_rank(singular)) if len(singular) else 0.0

    def _at_output(self, layer: int) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            states = returned_states(output)[..., 0, self._block_at(layer) == IMAGE, :]
            self.lens[layer] = leaving(self.stages.decoder, states)

        return hook


def mean(states: torch.Tensor) -> torch.Tensor:
    """Return the mean row of [rows, d], zeros where there is none."""
    return states.mean(0) if len(states) else states.new_zeros(states.shape[1])


def stacked_layers(layers: dict[int, torch.Tensor], count: int) -> np.ndarray:
    """Return the tensors of `count` layers as one array [l, ...], float32; NaN where there is none.

    Attention is recorded in the layers that have it.
    """
    nothing = torch.full_like(next(iter(layers.values())), torch.nan, dtype=torch.float32)
    found = [layers.get(i, nothing).float().cpu() for i in range(count)]
    return torch.stack(found).numpy()
