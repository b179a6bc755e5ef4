"""How Command A Vision cuts a picture into tiles, and its image processor without torchvision.

transformers has this processor for torchvision alone. It differs from that of GOT-OCR 2 and
InternVL, which comes with Pillow too, in the canvas: the smallest one that the picture fits without
being scaled down, or, of a picture too large for all, the one that scales it down least.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers.image_utils import SizeDict
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil


class Cohere2VisionImageProcessor(GotOcr2ImageProcessorPil):
    """Tiles and, behind several of them, the whole picture as one tile."""

    size = {"height": 512, "width": 512}
    crop_to_patches = True
    patch_size = 16
    "Rows and columns of visual tokens in a tile."

    def crop_image_to_patches(
        self,
        image: np.ndarray,
        min_patches: int,
        max_patches: int,
        use_thumbnail: bool = True,
        patch_size: Any = None,
        resample: Any = None,
    ) -> list[np.ndarray]:
        """Return the tiles of a picture.

        Args:
            image: [channels, height, width].
            min_patches: not used by this model.
            max_patches: tiles beside the whole picture, at most.
            use_thumbnail: add the whole picture.
            patch_size: height and width of a tile in pixels.
            resample: how to resize.
        """
        side = patch_size.height
        cols, rows = canvas((image.shape[2], image.shape[1]), side, max_patches)
        size = SizeDict(height=rows * side, width=cols * side)
        whole = self.resize(image, size, resample=resample)
        starts = [(y * side, x * side) for y in range(rows) for x in range(cols)]
        tiles = [whole[:, y : y + side, x : x + side] for y, x in starts]
        alone = len(tiles) == 1 or not use_thumbnail
        return tiles if alone else [*tiles, self.resize(image, patch_size, resample=resample)]


def canvas(size: tuple[int, int], side: int, most: int) -> tuple[int, int]:
    """Return how many columns and rows of tiles a picture is resized to.

    Args:
        size: (width, height) of the picture.
        side: pixels of a tile.
        most: tiles.
    """
    pairs = [(w, h) for w in range(1, most + 1) for h in range(1, most // w + 1)]
    pairs.sort(key=lambda pair: pair[0] * pair[1])
    # how much the picture may grow to fill each canvas
    scales = [min(w * side / size[0], h * side / size[1]) for w, h in pairs]
    fitting = [scale for scale in scales if scale >= 1]
    return pairs[scales.index(min(fitting) if fitting else max(scales))]
