"""LLaVA-1.5 and every model saved as LlavaForConditionalGeneration: one tile per image.

The processor resizes the short edge and crops the centre (llava-hf checkpoints; the margins do not
enter the model), or pads to a square, or resizes to a square. The layout has the box of each token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from tokviz.models.families.family import Inputs, family
from tokviz.models.families.siglip import SiglipBlocks
from tokviz.trace.layout import PATCH, SEPARATOR, Layout, Tile

Box = tuple[float, float, float, float]


@family
class Llava(SiglipBlocks):
    """CLIP or SigLIP tower, MLP projector, decoder; g x g tokens per image in raster order."""

    name = "llava"
    title = "LLaVA-1.5"
    model_types = ("llava",)

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return model.model.vision_tower.encoder.layers  # type: ignore[union-attr, return-value]

    def has_cls(self, model: nn.Module) -> bool:
        """Return True for CLIP towers."""
        return hasattr(model.model.vision_tower.embeddings, "class_embedding")  # type: ignore

    def feature_layer(self, model: nn.Module) -> int:
        """Return the tower layer whose output becomes the features (-2 = second to last block)."""
        chosen = model.config.vision_feature_layer  # type: ignore[union-attr]
        last = (
            chosen if isinstance(chosen, int) else max(chosen, key=lambda i: self._block(model, i))
        )
        return self._block(model, last)

    def tower_joins(self, model: nn.Module) -> list[int]:
        """Return the layers that `vision_feature_layer` lists, in its order (Granite Vision)."""
        chosen = getattr(model.config, "vision_feature_layer", None)
        if not isinstance(chosen, (list, tuple)):
            return super().tower_joins(model)
        return [self._block(model, layer) for layer in chosen]

    def _block(self, model: nn.Module, hidden_state: int) -> int:
        """Return the block of a hidden state: hidden_states[i] is the output of block i - 1."""
        count = len(self.tower_layers(model))
        return (hidden_state if hidden_state >= 0 else count + 1 + hidden_state) - 1

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return g x g tokens per image; with strategy "full" [CLS] is a token without a box."""
        vision = model.config.vision_config  # type: ignore[union-attr]
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        sizes = [image.size for image in images]
        side = vision.image_size // vision.patch_size
        part = side * vision.patch_size / vision.image_size
        boxes = [covered(seen_box(processor.image_processor, size), part) for size in sizes]
        return square_layout(is_visual, sizes, side, boxes)


def square_layout(
    is_visual: np.ndarray,
    sizes: Sequence[tuple[int, int]],
    side: int,
    boxes: Sequence[Box] | None = None,
) -> Layout:
    """Return the layout of images that are one square grid each.

    Args:
        is_visual: bool [s], which prompt positions are visual tokens.
        sizes: (width, height) of each image.
        side: rows and columns of the grid; tokens beyond side * side come first, without a box.
        boxes: what each grid covers, in pixels of its image; default the whole image.
    """
    position = np.flatnonzero(is_visual).astype(np.int32)
    extra = len(position) // len(sizes) - side * side
    row, col = np.divmod(np.arange(side * side, dtype=np.int16), np.int16(side))
    lead = np.full(extra, -1, np.int16)
    kind = np.array([SEPARATOR] * extra + [PATCH] * side * side, np.uint8)
    boxes = boxes or [(0.0, 0.0, float(w), float(h)) for w, h in sizes]
    return Layout(
        sizes=tuple(sizes),
        tiles=tuple(Tile(i, side, side, box) for i, box in enumerate(boxes)),
        tile=np.repeat(np.arange(len(sizes), dtype=np.int16), side * side + extra),
        row=np.tile(np.concatenate([lead, row]), len(sizes)),
        col=np.tile(np.concatenate([lead, col]), len(sizes)),
        kind=np.tile(kind, len(sizes)),
        position=position,
    )


def covered(box: Box, part: float) -> Box:
    """Return the upper left `part` of a box: whole patches may not fill it (384 / 14)."""
    x0, y0, x1, y1 = box
    return box if part == 1 else (x0, y0, x0 + (x1 - x0) * part, y0 + (y1 - y0) * part)


def seen_box(processor: Any, size: tuple[int, int]) -> Box:
    """Return the rectangle of the original image that enters the tower.

    Args:
        processor: the image processor.
        size: (width, height) of the original image.

    Returns:
        x0, y0, x1, y1 in original pixels; outside the image it is padding.
    """
    width, height = size
    if getattr(processor, "do_pad", False):
        side = max(width, height)
        left, top = -((side - width) // 2), -((side - height) // 2)
        return float(left), float(top), float(left + side), float(top + side)
    target = dict(getattr(processor, "size", None) or {})
    short = target.get("shortest_edge")
    if not (short and getattr(processor, "do_resize", True)):
        return 0.0, 0.0, float(width), float(height)
    scaled_w, scaled_h = _short_edge(width, height, short)
    if not getattr(processor, "do_center_crop", False):
        return 0.0, 0.0, float(width), float(height)
    crop_w, crop_h = processor.crop_size["width"], processor.crop_size["height"]
    left, top = (scaled_w - crop_w) // 2, (scaled_h - crop_h) // 2
    x, y = width / scaled_w, height / scaled_h
    return left * x, top * y, (left + crop_w) * x, (top + crop_h) * y


def _short_edge(width: int, height: int, short: int) -> tuple[int, int]:
    """Return the size after resizing the short edge to `short`; the long edge is rounded down."""
    if width <= height:
        return short, int(short * height / width)
    return int(short * width / height), short
