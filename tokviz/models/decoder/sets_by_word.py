"""The visual tokens that each word of the answer chooses to attend to (TidalDecode)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from tokviz.models.attention_call import AttentionCall
from tokviz.reduction import Stage
from tokviz.reduction.parts.selection import top_k


class SetsByWord:
    """Choices of the word being written, and the record of earlier words."""

    def __init__(self, stages: Mapping[int, Stage], visual: torch.Tensor, length: int) -> None:
        """Describe the sequence that entered layer 0, from which nothing is removed.

        Args:
            stages: layer -> stage; the layer before it makes the choice.
            visual: [m], its rows that are visual tokens, ascending.
            length: its number of rows.
        """
        self.stages, self.visual, self.length = stages, visual, length
        self.left_out: dict[int, torch.Tensor] = {}
        "Stage -> rows that the word being written leaves out."
        self.sets: list[np.ndarray] = []
        "For each decode step the share of the stages that chose each visual token, [m]."

    def choose(self, layer: int, call: AttentionCall) -> None:
        """Choose by the attention of the word being written, in the layer before a stage."""
        stage = self.stages.get(layer + 1)
        if stage is None or not len(self.visual):
            return
        # a cache with a sliding window holds the last keys only: rows that it dropped come last
        weights = call.last_row().mean(0)
        dropped = max(self.length + len(self.sets) + 1 - len(weights), 0)
        columns = self.visual.to(weights.device) - dropped
        score = torch.where(columns >= 0, weights[columns.clamp(min=0)], -1.0)
        out = torch.ones(len(score), dtype=torch.bool, device=self.visual.device)
        out[top_k(score, stage.keep).to(out.device)] = False
        self.left_out[layer + 1] = self.visual[out]

    def hidden_at(self, layer: int) -> torch.Tensor | None:
        """Return the rows that the latest choice up to a layer left out; None before any."""
        chosen = [stage for stage in self.left_out if stage <= layer]
        return self.left_out[max(chosen)] if chosen else None

    def close(self) -> None:
        """Record the choices of one decode step."""
        if self.left_out:
            out = [torch.isin(self.visual, rows) for rows in self.left_out.values()]
            self.sets.append(1 - torch.stack(out).float().mean(0).cpu().numpy())
        self.left_out = {}
