"""The same question about a smaller picture, of which the processor makes fewer visual tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from tokviz.errors import InputError
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.preparing import prepare
from tokviz.models.runs.run_notes import count_of
from tokviz.plans import Step
from tokviz.reduction.method import check_keep
from tokviz.trace.layout import Layout

SMALLEST_SIDE = 28
"""Pixels of the shorter side of the smallest picture that is tried."""
TRIES = 9
"""Halvings of the range of sizes: the factor is found to half a per cent."""


@dataclass(frozen=True)
class Smaller:
    """A question about smaller pictures, drawn over the original ones."""

    prepared: Prepared
    note: str


def smaller(loaded: Loaded, prepared: Prepared, step: Step) -> Smaller:
    """Return the question with the largest pictures that give at most the budget of tokens.

    Raises:
        InputError: the model makes more tokens of any picture, or as many of every picture.
    """
    asked = prepared.asked
    keep, n = check_keep(step.keep, asked.layout.n), asked.layout.n
    if keep == n:
        return Smaller(prepared, "")
    low, high = min(least_factor(image) for image in asked.images), 1.0
    best = at_factor(loaded, prepared, low)
    least = best.asked.layout.n
    if least > keep:
        few = f"{least} of this picture at every size"
        few = few if least == n else f"at least {least} of this picture, however small it is"
        raise InputError(
            f"{step.title} cannot leave {count_of(keep, 'visual token')} here: this model makes "
            f"{few}. Choose a larger budget, or a method that removes tokens."
        )
    for _ in range(TRIES):
        middle = (low + high) / 2
        found = at_factor(loaded, prepared, middle)
        if found.asked.layout.n <= keep:
            low, best = middle, found
        else:
            high = middle
    return Smaller(over_originals(best, prepared), note_of(prepared, best))


def at_factor(loaded: Loaded, prepared: Prepared, factor: float) -> Prepared:
    """Return the same question about pictures whose sides are shorter by a factor."""
    images = [resized(image, factor) for image in prepared.asked.images]
    return prepare(loaded, images, prepared.asked.prompt)


def least_factor(image: Image.Image) -> float:
    """Return the factor that makes an image as small as is tried."""
    return min(SMALLEST_SIDE / min(image.size), 1.0)


def resized(image: Image.Image, factor: float) -> Image.Image:
    """Return an image with sides shorter by a factor; one that is small already stays larger."""
    factor = max(factor, least_factor(image))
    width, height = (max(round(side * factor), 1) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def over_originals(small: Prepared, prepared: Prepared) -> Prepared:
    """Return the question with its layout and pictures in the pixels of the original pictures."""
    sizes = prepared.asked.layout.sizes
    layout = scaled(small.asked.layout, sizes)
    asked = replace(small.asked, layout=layout, images=prepared.asked.images)
    return replace(small, asked=asked)


def scaled(layout: Layout, sizes: Sequence[tuple[int, int]]) -> Layout:
    """Return a layout whose boxes are in pixels of pictures of other sizes."""
    tiles = []
    for tile in layout.tiles:
        (own_width, own_height), (width, height) = layout.sizes[tile.image], sizes[tile.image]
        across, down = width / own_width, height / own_height
        x0, y0, x1, y1 = tile.box
        tiles.append(replace(tile, box=(x0 * across, y0 * down, x1 * across, y1 * down)))
    return replace(layout, sizes=tuple(sizes), tiles=tuple(tiles))


def note_of(prepared: Prepared, small: Prepared) -> str:
    """Return the sentence about what became of the pictures."""
    (width, height), (was_wide, was_high) = (one.asked.layout.sizes[0] for one in (small, prepared))
    several = len(prepared.asked.images) > 1
    return (
        f"The {'first picture' if several else 'picture'} was made smaller before the processor, "
        f"{width} × {height} pixels in place of {was_wide} × {was_high}: "
        f"{small.asked.layout.n} visual tokens in place of {prepared.asked.layout.n}."
    )
