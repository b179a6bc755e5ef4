"""Images of the same size without content: what would the model have said without the image?

Each control shifts the distribution in a different way, and none is neutral, so there are several.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

BLUR = 8
"The blur's radius is the short side divided by this."


def blank(image: Image.Image) -> Image.Image:
    """Return a picture of one colour, the image's mean."""
    mean = np.asarray(image.convert("RGB"), np.float64).mean((0, 1))
    red, green, blue = (round(value) for value in mean)
    return Image.new("RGB", image.size, (red, green, blue))


def blurred(image: Image.Image) -> Image.Image:
    """Return the image blurred until only large areas of colour remain."""
    return image.convert("RGB").filter(ImageFilter.GaussianBlur(max(min(image.size) / BLUR, 1)))


def noise(image: Image.Image) -> Image.Image:
    """Return Gaussian noise around mid-grey, the same every time for one size."""
    width, height = image.size
    values = np.random.default_rng(0).normal(127.5, 64, (height, width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


MAKERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blank": blank,
    "blurred": blurred,
    "noise": noise,
}
"""Control images by their name in `schema.CONTROLS`; `removed` has no image at all."""
