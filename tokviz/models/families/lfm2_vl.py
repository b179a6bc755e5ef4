"""LFM2-VL: SigLIP 2 on pictures of any shape; most decoder layers are a short convolution.

A large picture is cut into squares, a thumbnail of its own shape follows. The tower gets every part
as a row of patches, padded to equal length with a mask. Four patches become one visual token. In
the decoder a convolution mixes each row with the two rows before it: it has no attention map and no
keys, and its cache is the last three rows. After a removal, those are rows that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from tokviz.models.families.family import Inputs, family
from tokviz.models.families.idefics3 import equal_parts, square_tiles
from tokviz.models.families.lfm2_pixels import cut_of
from tokviz.models.families.siglip import SiglipBlocks
from tokviz.models.families.sources import Sources
from tokviz.trace.layout import Layout, Tile


@family
class Lfm2VL(SiglipBlocks):
    """SigLIP 2 tower for any shape, four patches per token, a decoder of convolutions."""

    name = "lfm2_vl"
    title = "LFM2-VL"
    model_types = ("lfm2_vl",)

    def bound_tokens(self, model: nn.Module, processor: Any, most: int) -> bool:
        """Lower the number of tiles; where not even two fit, let no picture be cut."""
        images = processor.image_processor
        unit = images.encoder_patch_size * images.downsample_factor
        tiles = (most - images.max_image_tokens) // (images.tile_size // unit) ** 2
        if not images.do_image_splitting or tiles >= images.max_tiles:
            return False
        if tiles >= images.min_tiles:
            images.max_tiles = tiles
        else:
            images.do_image_splitting = False
            fewest = max(most, images.min_image_tokens)
            images.max_image_tokens = min(images.max_image_tokens, fewest)
        return True

    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""
        return model.model.vision_tower.encoder.layers  # type: ignore[union-attr, return-value]

    def has_cls(self, model: nn.Module) -> bool:
        """Return False: there is no [CLS] token."""
        return False

    def feature_layer(self, model: nn.Module) -> int:
        """Return the last tower layer; a norm follows it."""
        return len(self.tower_layers(model)) - 1

    def tower_lengths(self, model: nn.Module, inputs: Inputs) -> list[int]:
        """Return the patches of each part of a picture, without its padding."""
        return inputs["spatial_shapes"].prod(-1).tolist()

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return tokens [m, 4 d_v], concatenated patches, after the projector, [m, d]."""
        side = self._side(model)
        squares = pre.reshape(len(pre), side, side, -1)  # each a picture of one token
        return self.projector(model)(squares).flatten(1)

    def pre_features(self, flat: torch.Tensor, sources: Sources) -> torch.Tensor:
        """Return the concatenated states of each token's patches, [n, 4 d_v].

        The projector gets the parts without their padding, which the sources count.
        """
        row, patch = np.divmod(sources.index, sources.patches)
        lengths = np.bincount(row.ravel(), minlength=sources.rows)  # every patch is in one token
        begin = np.cumsum(lengths) - lengths
        index = torch.as_tensor(begin[row] + patch, device=flat.device)
        return flat[index].flatten(1)

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the square of patches of each token, in rows as long as the padded ones."""
        side, shapes = self._side(model), inputs["spatial_shapes"].cpu().numpy()
        patches = inputs["pixel_values"].shape[1]
        down, right = np.divmod(np.arange(side * side), side)
        row = layout.row.astype(np.int64)[:, None] * side + down
        col = layout.col.astype(np.int64)[:, None] * side + right
        width = shapes[layout.tile, 1][:, None]
        index = layout.tile.astype(np.int64)[:, None] * patches + row * width + col
        return Sources(index, len(shapes), patches)

    def tower_leave(self, model: nn.Module, squares: torch.Tensor) -> torch.Tensor:
        """Return the states after the tower's last norm, square by square."""
        return model.model.vision_tower.post_layernorm(squares).flatten(1)  # type: ignore

    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return the tiles of every image, in rows, then the image as a whole."""
        side, settings = self._side(model), processor.image_processor
        shapes = (inputs["spatial_shapes"] // side).tolist()
        tiles: list[Tile] = []
        for number, (width, height) in enumerate(image.size for image in images):
            cut = cut_of(settings, height, width)
            boxes = equal_parts((width, height), cut.rows, cut.cols)
            parts = [(box, "tile" if len(boxes) > 1 else "whole") for box in boxes]
            if len(boxes) > 1 and settings.use_thumbnail:
                parts.append(((0.0, 0.0, float(width), float(height)), "thumbnail"))
            for box, role in parts:
                rows, cols = shapes[len(tiles)]
                tiles.append(Tile(number, rows, cols, box, role))
        is_visual = inputs["input_ids"][0].cpu().numpy() == self.image_token_id(model)
        return square_tiles(tiles, np.flatnonzero(is_visual), [image.size for image in images])

    def _side(self, model: nn.Module) -> int:
        """Patches along a side of a token's square."""
        return int(model.config.downsample_factor)  # type: ignore[union-attr, arg-type]
