"""LightOnOCR: Mistral 3's tower and projector, a Qwen3 decoder, no breaks between rows."""

from __future__ import annotations

from typing import Any

from torch import nn

from tokviz.models.families.family import family
from tokviz.models.families.packed import PackedTower


@family
class LightOnOcr(PackedTower):
    """Pixtral's tower under the name `vision_encoder`; reads pages."""

    name = "lighton_ocr"
    title = "LightOnOCR"
    model_types = ("lighton_ocr",)

    def tower(self, model: nn.Module) -> Any:
        """Return the tower."""
        return model.model.vision_encoder  # type: ignore[union-attr]

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the module that joins and projects patches."""
        return model.model.vision_projection  # type: ignore[union-attr, return-value]
