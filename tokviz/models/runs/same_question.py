"""Whether a stored run and the pictures that are given beside it belong together.

A trace holds the sizes of its pictures and a JPEG preview of each. Another picture of the same size
gives the same prompt, so that only its pixels tell it apart.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tokviz.errors import InputError
from tokviz.trace import Trace

CELLS = 16
"""Pictures are compared as so many rows and columns of mean colours."""
ALLOWED = 12.0
"""Of 255: what JPEG and another version of its encoder change in the mean of a cell, at most."""


def check_pictures(trace: Trace, pictures: Sequence[Image.Image]) -> None:
    """Raise InputError unless these are the pictures of a run, as far as it holds them.

    Args:
        trace: a finished run.
        pictures: as opened by `open_image`, in the order of the prompt.
    """
    sizes = tuple(tuple(size) for size in trace.layout.sizes)
    given = tuple(picture.size for picture in pictures)
    if sizes != given:
        raise InputError(
            f"the trace was made with pictures of {_words(sizes)} pixels, got {_words(given)}: "
            "give the pictures that it was made with."
        )
    for number, (jpeg, picture) in enumerate(zip(trace.images, pictures, strict=False)):
        if difference(jpeg, picture) > ALLOWED:
            which = f"picture {number + 1}" if len(pictures) > 1 else "the picture"
            raise InputError(
                f"{which} is not the one that the trace was made with: same size, other content. "
                "Give that one, or leave the trace out to run the model anew."
            )


def difference(jpeg: bytes, picture: Image.Image) -> float:
    """Return the largest difference of mean colours, 0 to 255, between a preview and a picture."""
    with Image.open(io.BytesIO(jpeg)) as preview:
        ours = _cells(preview.convert("RGB"))
    return float(np.abs(ours - _cells(picture)).max())


def _cells(picture: Image.Image) -> np.ndarray:
    """Return float64 [rows, columns, 3], mean colours."""
    small = picture.convert("RGB").resize((CELLS, CELLS), Image.Resampling.BOX)
    return np.asarray(small, np.float64)


def _words(sizes: Sequence[Sequence[int]]) -> str:
    return ", ".join(f"{width} × {height}" for width, height in sizes) or "no"
