"""Visitors' pictures: few are opened at the same time, and what that took is given back.

A picture file of 1 MB may hold 40 megapixels: 160 MB once decoded. Eight visitors who send one at
the same time would take 1.3 GB; and what C's allocator has got it keeps, although all is freed.
"""

from __future__ import annotations

import ctypes
import sys
import threading

from PIL import Image

from tokviz.images import Source, open_image

READ_PIXELS = 16384 * 28 * 28
"""Pictures of more pixels are read at half their width and height. So many, 12.8 megapixels, the
largest processor of our families keeps (Qwen2-VL); the others keep 5 at most."""
AT_ONCE = 2
"""Pictures that are decoded at the same time."""
LARGE = 4_000_000
"""Pixels from which on memory is given back after reading; it takes milliseconds."""


class Pictures:
    """Opens pictures, a few at the same time; the others wait."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = threading.BoundedSemaphore(at_once)

    def open(self, source: Source) -> Image.Image:
        """Return a picture as RGB of at most READ_PIXELS pixels; see `tokviz.images.open_image`."""
        with self._places:
            picture = open_image(source, READ_PIXELS)
        if picture.width * picture.height > LARGE:
            give_back_memory()
        return picture


def give_back_memory() -> bool:
    """Have C's allocator give free memory back to the system; return whether it did (Linux)."""
    if not sys.platform.startswith("linux"):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
    return bool(trim(0)) if trim is not None else False
