"""LFM2-VL's pictures: how many tiles one is cut into, and its pixels without torchvision.

transformers has this processor for torchvision alone; `Lfm2Pixels` does the same with Pillow, under
the names of the published settings. Resizing differs by the rounding of the two libraries.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import SizeDict
from transformers.processing_utils import ImagesKwargs


class Cut(NamedTuple):
    """How a picture is cut."""

    rows: int
    cols: int
    "Of tiles; 1 x 1 = the picture is not cut."
    height: int
    width: int
    "Pixels of the whole picture: the thumbnail of one that is cut."


def cut_of(settings: Any, height: int, width: int) -> Cut:
    """Return how a picture is cut, by the settings of an image processor.

    A picture of more pixels than `max_pixels_tolerance` times what `max_image_tokens` tokens show
    is cut into `min_tiles` to `max_tiles` squares, whose numbers of rows and columns come nearest
    to its shape; of equally near ones, more tiles if they are not too many for its pixels.
    """
    whole = whole_size(settings, height, width)
    unit = settings.encoder_patch_size * settings.downsample_factor
    rounded = [
        max(settings.encoder_patch_size, round(side / unit) * unit) for side in (height, width)
    ]
    most = settings.max_image_tokens * unit**2 * settings.max_pixels_tolerance
    single = not settings.do_image_splitting or settings.min_tiles == settings.max_tiles == 1
    if single or math.prod(rounded) <= most:
        return Cut(1, 1, *whole)
    low, high = settings.min_tiles, settings.max_tiles
    best, far = (1, 1), math.inf
    # the first of the nearest is taken; a later one as near only where the picture is large enough
    for cols, rows in tile_shapes(low, high):
        off = abs(width / height - cols / rows)
        large = width * height > 0.5 * settings.tile_size**2 * cols * rows
        if off < far or (off == far and large):
            best, far = (cols, rows), off
    return Cut(best[1], best[0], *whole)


def tile_shapes(low: int, high: int) -> list[tuple[int, int]]:
    """Return (columns, rows) of low to high tiles, few first.

    Shapes of as many tiles come in the order of the library's set, which was filled in this order:
    where 1 x 2 and 2 x 1 are equally near, the order decides.
    """
    found = [
        (cols, rows)
        for most in range(low, high + 1)
        for cols in range(1, most + 1)
        for rows in range(1, most + 1)
        if low <= cols * rows <= high
    ]
    return sorted(set(found), key=math.prod)


def whole_size(settings: Any, height: int, width: int) -> tuple[int, int]:
    """Return height and width to which a whole picture is resized: multiples of a token's side.

    The number of tokens is `min_image_tokens` to `max_image_tokens`.
    """
    unit = settings.encoder_patch_size * settings.downsample_factor
    tall, wide = (max(unit, round(side / unit) * unit) for side in (height, width))
    least, most = (
        count * unit**2 for count in (settings.min_image_tokens, settings.max_image_tokens)
    )
    if tall * wide > most:
        shrink = math.sqrt(height * width / most)
        return tuple(max(unit, math.floor(s / shrink / unit) * unit) for s in (height, width))  # type: ignore[return-value]
    if tall * wide < least:
        grow = math.sqrt(least / (height * width))
        return tuple(math.ceil(s * grow / unit) * unit for s in (height, width))  # type: ignore[return-value]
    return tall, wide


class PixelSettings(ImagesKwargs, total=False):  # type: ignore[call-arg]
    """What the processor can be asked for beside the usual; see `Lfm2Pixels`."""

    downsample_factor: int
    do_image_splitting: bool
    min_tiles: int
    max_tiles: int
    use_thumbnail: bool
    min_image_tokens: int
    max_image_tokens: int
    encoder_patch_size: int
    tile_size: int
    max_pixels_tolerance: float
    return_row_col_info: bool


class Lfm2Pixels(PilBackend):
    """From pictures to padded rows of patches; the defaults are those of the library's class."""

    valid_kwargs = PixelSettings
    model_input_names = ["pixel_values", "pixel_attention_mask", "spatial_shapes"]
    downsample_factor = 2
    do_image_splitting = True
    min_tiles = 2
    max_tiles = 10
    use_thumbnail = True
    min_image_tokens = 64
    max_image_tokens = 256
    encoder_patch_size = 16
    tile_size = 512
    max_pixels_tolerance = 2.0
    do_resize = True
    size = {"height": 512, "width": 512}
    resample = 2
    do_rescale = True
    rescale_factor = 1 / 255
    do_normalize = True
    image_mean = [0.5, 0.5, 0.5]
    image_std = [0.5, 0.5, 0.5]
    do_pad = True
    return_row_col_info = False

    def _preprocess(
        self,
        images: list[np.ndarray],
        return_tensors: Any = None,
        return_row_col_info: bool = False,
        **asked: Any,
    ) -> BatchFeature:
        """Return pixel_values [tiles, patches, 3 p p] and their masks and shapes, tile by tile."""
        most, patch = self.row_length, self.encoder_patch_size
        values, masks, shapes, cuts = [], [], [], []
        for image in images:
            cut = cut_of(self, *image.shape[-2:])
            cuts.append(cut)
            for part in self.parts(image, cut):
                part = self.normalize(
                    self.rescale(part, self.rescale_factor), self.image_mean, self.image_std
                )
                rows = patches_of(part, patch)
                values.append(np.pad(rows, [(0, most - len(rows)), (0, 0)]))
                masks.append(np.arange(most) < len(rows))
                shapes.append([side // patch for side in part.shape[-2:]])
        data: dict[str, Any] = {
            "pixel_values": torch.as_tensor(np.stack(values), dtype=torch.float32),
            "pixel_attention_mask": torch.as_tensor(np.stack(masks)).int(),
            "spatial_shapes": torch.as_tensor(shapes),
        }
        if return_row_col_info:
            data |= {"image_rows": [c.rows for c in cuts], "image_cols": [c.cols for c in cuts]}
            data["image_sizes"] = [[c.height, c.width] for c in cuts]
        return BatchFeature(data, tensor_type=return_tensors)

    @property
    def row_length(self) -> int:
        """Patches of a padded row."""
        tile = (self.tile_size // self.encoder_patch_size) ** 2 if self.do_image_splitting else 0
        return max(self.max_image_tokens * self.downsample_factor**2, tile)

    def parts(self, image: np.ndarray, cut: Cut) -> list[np.ndarray]:
        """Return the tiles of a picture [3, height, width] in rows, then the whole one."""
        whole = self.resized(image, cut.height, cut.width)
        if cut.rows * cut.cols == 1:
            return [whole]
        side = self.tile_size
        large = self.resized(image, side * cut.rows, side * cut.cols)
        tiles = [
            large[:, row * side : (row + 1) * side, col * side : (col + 1) * side]
            for row in range(cut.rows)
            for col in range(cut.cols)
        ]
        return [*tiles, *([whole] if self.use_thumbnail else [])]

    def resized(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return a picture in another size."""
        return self.resize(image, SizeDict(height=height, width=width), resample=self.resample)


def patches_of(image: np.ndarray, patch: int) -> np.ndarray:
    """Return the patches of a picture in raster order, [3, height, width] -> [patches, p p 3]."""
    depth, height, width = image.shape
    cells = image.reshape(depth, height // patch, patch, width // patch, patch)
    return cells.transpose(1, 3, 2, 4, 0).reshape(-1, patch * patch * depth)
