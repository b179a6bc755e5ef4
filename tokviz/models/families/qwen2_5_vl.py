"""Qwen2.5-VL: Qwen2-VL with a tower in which most layers attend within windows.

The tower sorts its sequence by windows before the first layer and restores the order after the
merger; signals of the tower are in the order of the windows. A window layer attends only within
each window: its maps are zero between windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.vision_utils import get_vision_window_index

from tokviz.models.families.family import Inputs, family
from tokviz.models.families.qwen2_vl import Qwen2VL, grids, numbered


@family
class Qwen2_5VL(Qwen2VL):  # noqa: N801 - the model's name
    """Differs from Qwen2-VL in the order of the tower's sequence."""

    film = "A grid per pair of frames; M-RoPE has their time in seconds."
    name = "qwen2_5_vl"
    title = "Qwen2.5-VL"
    model_types = ("qwen2_5_vl",)

    def tower_order(self, model: nn.Module, inputs: Inputs, n: int) -> np.ndarray:
        """Return each token's place in the order of the windows."""
        order, _ = self.windows(model, inputs)
        return np.argsort(order.cpu().numpy(), kind="stable")

    def tower_follow(
        self, model: nn.Module, inputs: Inputs, given: Mapping[str, Any]
    ) -> dict[str, torch.Tensor]:
        """Return each patch's rotation, its image and its window."""
        _, ends = self.windows(model, inputs)
        follow = super().tower_follow(model, inputs, given)
        return {**follow, "window": numbered(ends.diff().to(follow["cos"].device))}

    def tower_scope(self, model: nn.Module, layer: int) -> str:
        """Return "image" for the few layers that attend to whole images, else "window"."""
        whole = model.config.vision_config.fullatt_block_indexes  # type: ignore[union-attr]
        return "image" if layer in whole else "window"  # type: ignore[operator]

    def windows(self, model: nn.Module, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the order of the tokens [n], and the ends of the windows in patches, from 0."""
        vision: Any = model.config.vision_config  # type: ignore[union-attr]
        return get_vision_window_index(
            grids(inputs),
            vision.spatial_merge_size,
            vision.window_size,
            vision.patch_size,
        )
