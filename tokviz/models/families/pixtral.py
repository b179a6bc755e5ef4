"""Pixtral 12B, saved as LLaVA: pictures of any size, a visual token for each patch, row ends.

The checkpoint is a LlavaForConditionalGeneration around Pixtral's tower. As in Mistral 3, the ends
of rows and of a picture are words of the prompt, which no reduction takes out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tokviz.errors import ModelError
from tokviz.models.families.family import Family, family
from tokviz.models.families.packed import PackedTower


@family
class Pixtral(PackedTower):
    """Pixtral's tower, an MLP projector, Mistral."""

    name = "pixtral"
    title = "Pixtral"
    model_types = ("llava+pixtral",)

    def check_model(self, model: nn.Module) -> None:
        """Raise ModelError where the first patch of all pictures would be left out as a [CLS]."""
        super().check_model(model)
        strategy: Any = model.config.vision_feature_select_strategy  # type: ignore[union-attr]
        if strategy != "full":
            raise ModelError(
                f"its vision_feature_select_strategy is {strategy!r}, which leaves out a patch of "
                "Pixtral's tower. Set it to 'full' in config.json."
            )

    def side(self, model: nn.Module) -> int:
        """Return 1."""
        return 1

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return the projected states, [m, d_v] -> [m, d]."""
        return Family.project(self, model, pre)
