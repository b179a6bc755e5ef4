"""DeepSeek-VL: the picture is padded to a square; a SigLIP tower, one visual token per patch.

Its largest side is resized to that of the tower, and the rest is filled on both sides. The 7B
checkpoint has a second tower beside this one: `deepseek_vl_hybrid.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tokviz.models.families.family import Features, Inputs, family
from tokviz.models.families.llava import Box, covered, grid_layout
from tokviz.models.families.parts import check_tower, one, tower_blocks
from tokviz.models.families.siglip import SiglipBlocks
from tokviz.trace.layout import Layout


@family
class DeepSeekVL(SiglipBlocks):
    """SigLIP tower with its last norm, an MLP, Llama."""

    name = "deepseek_vl"
    title = "DeepSeek-VL"
    model_types = ("deepseek_vl",)

    def check_model(self, model: nn.Module) -> None:
        """Raise ModelError for decoders and towers that cannot be looked into."""
        super().check_model(model)
        check_tower(model.model.vision_model, model.config.vision_config)  # type: ignore

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return tower_blocks(model.model.vision_model)  # type: ignore

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return the last tower layer; a norm follows it."""
        return len(self.tower_layers(model)) - 1

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the MLP."""
        return model.model.aligner  # type: ignore[union-attr, return-value]

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the tower's last norm of the last layer's states."""
        return model.model.vision_model.post_layernorm(squares.flatten(1))  # type: ignore

    def encoder_outputs(self, features: Features) -> BaseModelOutputWithPooling:
        """Wrap features as one batch [1, n, d]."""
        return BaseModelOutputWithPooling(pooler_output=features.tokens[None])  # type: ignore

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return the length of an image in tokens."""
        return [("num_image_tokens", processor.num_image_tokens, self.side(model) ** 2)]

    def padded_to(self, model: nn.Module, processor: Any) -> int:
        """Return the side of the square to which a picture is resized and padded, in pixels."""
        return one(model.config.vision_config.image_size)  # type: ignore[union-attr]

    def side(self, model: nn.Module) -> int:
        """Return how many rows and columns of tokens a picture has."""
        vision: Any = model.config.vision_config  # type: ignore[union-attr]
        return one(vision.image_size) // one(vision.patch_size)

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return one square grid per picture, which begins and ends outside of it."""
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        vision: Any = model.config.vision_config  # type: ignore[union-attr]
        side, length = self.side(model), self.padded_to(model, processor)
        part = side * one(vision.patch_size) / one(vision.image_size)
        sizes, least = [image.size for image in images], processor.image_processor.min_size
        boxes = [covered(square_around(size, length, least), part, part) for size in sizes]
        return grid_layout(is_visual, sizes, (side, side), boxes)


def square_around(size: tuple[int, int], length: int, least: int) -> Box:
    """Return the square that a picture is padded to, in pixels of the picture.

    Args:
        size: (width, height) of the picture.
        length: to which its largest side is resized.
        least: pixels that its other side has then, at least.
    """
    scale = length / max(size)
    spans = []
    for pixels in size:
        resized = max(round(pixels * scale), least)
        before = (length - resized) // 2
        spans.append((-before * pixels / resized, (length - before) * pixels / resized))
    (x0, x1), (y0, y1) = spans
    return x0, y0, x1, y1
