"""Gemma 3: one grid per image, each token the average of a square of patches; optional crops.

An image is resized to a square and its patches are averaged to 16 x 16 tokens. With pan and scan
(off by default in the processor) long images also have crops: first the whole image, then its crops
from left to right or from top to bottom. In the language model, the tokens of an image attend to
each other in both directions (`token_type_ids` marks them). Most layers have a sliding window and
other rotary angles than the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tokviz.models.families.family import Features, Inputs, family
from tokviz.models.families.idefics3 import square_tiles
from tokviz.models.families.siglip import SiglipBlocks
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout, Tile

Box = tuple[float, float, float, float]
PAN_AND_SCAN = (
    "pan_and_scan_min_crop_size",
    "pan_and_scan_max_num_crops",
    "pan_and_scan_min_ratio_to_activate",
)


@family
class Gemma3(SiglipBlocks):
    """SigLIP tower, average pooling, a norm and one matrix, Gemma 3."""

    name = "gemma3"
    title = "Gemma 3"
    model_types = ("gemma3",)

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return model.model.vision_tower.encoder.layers  # type: ignore[union-attr, return-value]

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return the last tower layer; a norm follows it."""
        return len(self.tower_layers(model)) - 1

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the norm before the projection matrix, whose input is the averaged patches."""
        return model.model.multi_modal_projector.mm_soft_emb_norm  # type: ignore

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return averaged patches [m, d_v] after the norm and the matrix, [m, d]."""
        weight = model.model.multi_modal_projector.mm_input_projection_weight  # type: ignore
        return torch.matmul(self.projector(model)(pre), weight).type_as(pre)

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the mean of each square after the tower's last norm."""
        inner: Any = model.model
        projector = inner.multi_modal_projector
        side, count = projector.kernel_size, len(squares)
        normed = inner.vision_tower.post_layernorm(squares)
        # the squares [m, side * side, d] below each other as one image [1, d, m * side, side]: the
        # library's own pooling then rounds as in its forward
        below = normed.reshape(1, count * side, side, -1).permute(0, 3, 1, 2)
        return projector.avg_pool(below.contiguous())[0, :, :, 0].T

    def encoder_outputs(self, features: Features) -> BaseModelOutputWithPooling:
        """Wrap features as one batch [1, n, d]."""
        return BaseModelOutputWithPooling(pooler_output=features.tokens[None])

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the patches that are averaged into each token."""
        projector: Any = model.model.multi_modal_projector  # type: ignore[union-attr]
        return Sources.grid(layout, projector.kernel_size)

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return one grid per image and per crop."""
        ids = inputs["input_ids"][0].cpu().numpy()
        position = np.flatnonzero(ids == self.image_token_id(model))
        side = model.model.multi_modal_projector.tokens_per_side  # type: ignore[union-attr]
        cropped = len(position) > len(images) * side * side
        tiles = []
        for number, image in enumerate(images):
            crops = crop_boxes(processor, image.size) if cropped else []
            whole = (0.0, 0.0, float(image.width), float(image.height))
            tiles.append(Tile(number, side, side, whole, "thumbnail" if crops else "whole"))
            tiles += [Tile(number, side, side, box, "tile") for box in crops]
        return square_tiles(tiles, position, [image.size for image in images])


def crop_boxes(processor: Any, size: tuple[int, int]) -> list[Box]:
    """Return the boxes of the crops that the processor's pan and scan makes of an image.

    Args:
        processor: the whole processor; its own function is called.
        size: (width, height).
    """
    width, height = size
    settings = {name: processor.images_kwargs[name] for name in PAN_AND_SCAN}
    black = np.broadcast_to(np.uint8(0), (3, height, width))  # a view of one byte: no memory
    crops = processor.image_processor.pan_and_scan(black, **settings)
    boxes, x, y = [], 0, 0
    for crop in crops:
        tall, wide = crop.shape[1:]
        boxes.append((float(x), float(y), float(x + wide), float(y + tall)))
        x, y = (x, y + tall) if wide == width else (x + wide, y)
    return boxes
