"""Qwen2.5-VL: Qwen2-VL with a tower most of whose layers look through windows.

The tower's sequence is put in the order of its windows before the first layer and back after the
merger; what is observed inside comes in that order. A window layer attends within each window:
its maps are zero between windows.
"""

from __future__ import annotations

import numpy as np
from torch import nn
from transformers.vision_utils import get_vision_window_index

from tokviz.models.family import Inputs, family
from tokviz.models.qwen2_vl import Qwen2VL


@family
class Qwen2_5VL(Qwen2VL):  # noqa: N801 - the model's name
    """Differs from Qwen2-VL in the order of the tower's sequence."""

    name = "qwen2_5_vl"
    title = "Qwen2.5-VL"
    model_types = ("qwen2_5_vl",)

    def tower_order(self, model: nn.Module, inputs: Inputs, n: int) -> np.ndarray:
        """Return each token's place in the order of the windows."""
        vision = model.config.vision_config  # type: ignore[union-attr]
        order, _ = get_vision_window_index(
            inputs["image_grid_thw"],
            vision.spatial_merge_size,  # type: ignore[union-attr, arg-type]
            vision.window_size,  # type: ignore[union-attr, arg-type]
            vision.patch_size,  # type: ignore[union-attr, arg-type]
        )
        return np.argsort(order.cpu().numpy(), kind="stable")
