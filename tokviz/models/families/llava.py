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
from tokviz.models.families.parts import check_tower, one, tower_blocks, tower_cls
from tokviz.models.families.siglip import SiglipBlocks
from tokviz.trace.layout import PATCH, SEPARATOR, Layout, Tile

Box = tuple[float, float, float, float]


@family
class Llava(SiglipBlocks):
    """CLIP or SigLIP tower, MLP projector, decoder; g x g tokens per image in raster order."""

    name = "llava"
    title = "LLaVA-1.5"
    model_types = ("llava",)

    def check_model(self, model: nn.Module) -> None:
        """Raise ModelError for decoders and towers that cannot be looked into."""
        super().check_model(model)
        check_tower(model.model.vision_tower, model.config.vision_config)  # type: ignore

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return tower_blocks(model.model.vision_tower)  # type: ignore

    def has_cls(self, model: nn.Module) -> bool:
        """Return True for CLIP, ViT, DINOv2 and InternViT."""
        return tower_cls(model.model.vision_tower)  # type: ignore[union-attr]

    def dropped(self, model: nn.Module) -> int:
        """Return how many patches never leave the tower.

        The strategy "default" drops token 0, which is a patch where the tower has no [CLS].
        """
        default = model.config.vision_feature_select_strategy == "default"  # type: ignore
        return int(default and not self.has_cls(model))

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
        """Return one grid per image; under strategy "full" [CLS] is a token without box."""
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        sizes = [image.size for image in images]
        patch = one(model.config.vision_config.patch_size)  # type: ignore
        height, width = inputs["pixel_values"].shape[-2:]
        rows, cols = height // patch, width // patch
        seen = [seen_box(processor.image_processor, size) for size in sizes]
        boxes = [covered(box, cols * patch / width, rows * patch / height) for box in seen]
        full = model.config.vision_feature_select_strategy == "full"  # type: ignore
        lead = int(full and self.has_cls(model)) - self.dropped(model)
        return grid_layout(is_visual, sizes, (rows, cols), boxes, lead)

    def settings(self, model: nn.Module, processor: Any) -> list[tuple[str, Any, Any]]:
        """Return what processor and model must have alike: name, the processor's, the model's."""
        config: Any = model.config
        strategy = config.vision_feature_select_strategy
        given = [
            ("patch_size", one(config.vision_config.patch_size)),
            ("num_additional_image_tokens", int(self.has_cls(model))),
            ("vision_feature_select_strategy", strategy),
        ]
        return [(name, getattr(processor, name, None), value) for name, value in given]


def grid_layout(
    is_visual: np.ndarray,
    sizes: Sequence[tuple[int, int]],
    grid: tuple[int, int],
    boxes: Sequence[Box] | None = None,
    lead: int = 0,
) -> Layout:
    """Return the layout of images that are one grid each.

    Args:
        is_visual: bool [s], which prompt positions are visual tokens.
        sizes: (width, height) of each image.
        grid: (rows, cols) of patches.
        boxes: what each grid covers, in pixels of its image; default the whole image.
        lead: tokens without a box before the patches; -1 = the first patch is left out.
    """
    rows, cols = grid
    row, col = np.divmod(np.arange(max(-lead, 0), rows * cols, dtype=np.int16), np.int16(cols))
    none = np.full(max(lead, 0), -1, np.int16)
    kind = np.array([SEPARATOR] * len(none) + [PATCH] * len(row), np.uint8)
    boxes = boxes or [(0.0, 0.0, float(w), float(h)) for w, h in sizes]
    return Layout(
        sizes=tuple(sizes),
        tiles=tuple(Tile(i, rows, cols, box) for i, box in enumerate(boxes)),
        tile=np.repeat(np.arange(len(sizes), dtype=np.int16), len(kind)),
        row=np.tile(np.concatenate([none, row]), len(sizes)),
        col=np.tile(np.concatenate([none, col]), len(sizes)),
        kind=np.tile(kind, len(sizes)),
        position=np.flatnonzero(is_visual).astype(np.int32),
    )


def covered(box: Box, across: float, down: float) -> Box:
    """Return what whole patches cover of a box: its upper left part (384 / 14 leaves a rest).

    Args:
        box: x0, y0, x1, y1.
        across: share of the width.
        down: share of the height.
    """
    x0, y0, x1, y1 = box
    right = x1 if across == 1 else x0 + (x1 - x0) * across
    return x0, y0, right, y1 if down == 1 else y0 + (y1 - y0) * down


def seen_box(processor: Any, size: tuple[int, int]) -> Box:
    """Return the rectangle of the original image that enters the tower.

    The processor pads to a square, resizes and cuts the centre out, in this order, each if its
    settings say so. What is smaller than the cut is padded to it.

    Args:
        processor: the image processor.
        size: (width, height) of the original image.

    Returns:
        x0, y0, x1, y1 in original pixels; outside the image it is padding.
    """
    width, height = size
    left = top = 0
    if getattr(processor, "do_pad", False) and hasattr(processor, "pad_to_square"):
        side = max(width, height)
        left, top = -((side - width) // 2), -((side - height) // 2)
        width = height = side
    x0, y0, x1, y1 = 0, 0, *resized(processor, (width, height))
    across, down = width / x1, height / y1
    if getattr(processor, "do_center_crop", False):
        cut = processor.crop_size
        # rounded down also where it is negative: padding starts with the longer side
        x0, y0 = (x1 - cut["width"]) // 2, (y1 - cut["height"]) // 2
        x1, y1 = x0 + cut["width"], y0 + cut["height"]
    return left + x0 * across, top + y0 * down, left + x1 * across, top + y1 * down


def resized(processor: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) after the processor's resize, as its settings say.

    Args:
        processor: the image processor.
        size: (width, height) before.
    """
    if not getattr(processor, "do_resize", True):
        return size
    target = {name: value for name, value in dict(processor.size or {}).items() if value}
    if "shortest_edge" in target:
        return _short_edge(*size, target["shortest_edge"], target.get("longest_edge"))
    if "max_height" in target:
        scale = min(target["max_width"] / size[0], target["max_height"] / size[1])
        return int(size[0] * scale), int(size[1] * scale)
    return target.get("width", size[0]), target.get("height", size[1])


def _short_edge(width: int, height: int, short: int, most: int | None) -> tuple[int, int]:
    """The size after the short edge was resized to `short`; the long one is truncated.

    Args:
        width: before.
        height: before.
        short: of the short edge.
        most: what the long edge may have; the short one becomes shorter for it.
    """
    low, high = min(width, height), max(width, height)
    exact: float = short
    if most is not None and high / low * short > most:
        exact = most * low / high
        short = round(exact)
    long = int(exact * high / low)
    return (short, long) if width <= height else (long, short)
