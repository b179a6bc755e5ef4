"""LLaVA-OneVision: LLaVA-NeXT's tiles with a SigLIP tower; several images get one tile each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image
from torch import nn

from tokviz.models.families.anyres import Cutting, Tokens, around
from tokviz.models.families.family import Inputs, family
from tokviz.models.families.llava_next import LlavaNext
from tokviz.trace.layout import SEPARATOR


@family
class LlavaOnevision(LlavaNext):
    """SigLIP tower without [CLS], MLP projector, Qwen2."""

    name = "llava_onevision"
    title = "LLaVA-OneVision"
    model_types = ("llava_onevision",)

    def cutting(self, model: nn.Module) -> Cutting:
        """Return how the checkpoint cuts pictures; "anyres_max_9" is nine tiles."""
        aspect: str = model.config.vision_aspect_ratio  # type: ignore[union-attr, assignment]
        most = int(aspect.removeprefix("anyres_max_"))
        return replace(super().cutting(model), most_tiles=most)

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return what this processor has of them."""
        config: Any = model.config
        count = self.cutting(model).grid ** 2
        given = super().settings(model, processor)
        names = ("vision_feature_select_strategy", "vision_aspect_ratio")
        alike = [(name, getattr(processor, name, None), getattr(config, name)) for name in names]
        return [given[-1], *alike, ("num_image_tokens", processor.num_image_tokens, count)]

    def cuts(self, images: Sequence[Image.Image]) -> bool:
        """Return True for one picture; several are padded."""
        return len(images) == 1

    def process(self, processor: Any, images: Sequence[Image.Image], text: str) -> Mapping:
        """Return the model inputs; several images of one prompt are padded, not cut into tiles."""
        return self.call(processor, [list(images)], text)

    def tokens(self, model: nn.Module, inputs: Inputs) -> Tokens:
        """Return the visual tokens of a prompt."""
        sizes = inputs["image_sizes"].tolist()
        if len(sizes) == 1:
            return super().tokens(model, inputs)
        tokens = Tokens(self.cutting(model))
        for image, (height, width) in enumerate(sizes):
            tokens.square(image, around((width, height)), "whole")
            tokens.structural(SEPARATOR)
        return tokens
