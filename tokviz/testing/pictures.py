"""Pictures that need no file, and the sentence of a promise that is not kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

PROMPT, WORDS = "what is this?", 6
SHAPES = ((96, 96), (240, 96), (96, 240), (131, 97))
"(width, height): square, wide, tall and odd."


def pictures(count: int) -> list[Image.Image]:
    """Return pictures of different shapes, colours changing all over, the same each time."""
    noise = np.random.default_rng(7)
    found = []
    for width, height in SHAPES[:count]:
        coarse = noise.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        found.append(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return found


def kept(condition: Any, why: str) -> None:
    """Raise AssertionError with a sentence unless a promise is kept."""
    if not condition:
        raise AssertionError(why)
