"""Labels of each patch of a picture: targets of the losses that only training uses.

All labels are per patch, [grid * grid] int64 in row-major order (12 x 12 patches of 16 pixels, or
24 x 24 of 8), with -100 where there is no loss (half-covered patches, facts that easy-VQA does not
give).
"""

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from embedded.easyvqa import Picture
from embedded.model import GRID
from embedded.sprites import sprite
from embedded.things import COLOURS, NAMES
from embedded.world import SIDE, Scene, Thing

IGNORE = -100
LABELS = (*NAMES, "rectangle", "nothing")
"""Classes of the name label; "nothing" is a bare background patch."""
NOTHING = len(LABELS) - 1
COLOUR_NAMES = tuple(COLOURS)
SIZES = {"name": len(LABELS), "colour": len(COLOURS) + 1, "cell": 9, "count": 5, "rank": 5}
"""Number of classes of each label."""
COVERED, BARE = 0.25, 0.04
"""A patch shows a thing above the first share of its area, is bare below the second."""


@dataclass
class Example:
    """A picture with the labels of its patches."""

    pixels: np.ndarray
    """uint8, [192, 192, 3]."""
    labels: dict[str, np.ndarray]
    """One [patches] array per key of ``SIZES``."""
    present: np.ndarray
    """Which names are in the picture, [number of LABELS - 1] float32."""
    cover: np.ndarray
    """Number of the thing that covers each patch, -1 for none, [patches] int64."""
    bare: np.ndarray | None = None
    """The same things over a gradient, uint8, [192, 192, 3]; only where a teacher wants it."""


def own_cells(grid: int = GRID) -> np.ndarray:
    """Give the 3x3 cell in which each patch lies."""
    line = np.arange(grid) * 3 // grid
    return (3 * line[:, None] + line[None]).reshape(-1)


def coverage(thing: Thing, grid: int = GRID) -> np.ndarray:
    """Measure the share of each patch that a thing's ink covers, [patches] in 0 to 1."""
    left, top, right, _ = thing.box
    mask = Image.new("L", (SIDE, SIDE))
    alpha = sprite(thing.name, thing.colour, right - left, thing.flip).getchannel("A")
    mask.paste(alpha, (left, top))
    return np.asarray(mask.reduce(SIDE // grid), dtype=np.float32).reshape(-1) / 255


def scene_example(scene: Scene, grid: int = GRID) -> Example:
    """Label every patch of a scene with the thing that covers it."""
    patches = grid * grid
    labels = {key: np.full(patches, IGNORE) for key in SIZES}
    labels["cell"] = own_cells(grid)
    cover = np.full(patches, -1)
    present = np.zeros(NOTHING, dtype=np.float32)
    total = np.zeros(patches, dtype=np.float32)
    for rank, thing in enumerate(scene.things):
        share = coverage(thing, grid)
        total += share
        on = share > COVERED
        cover[on] = rank
        number = LABELS.index(thing.name)
        present[number] = 1
        labels["name"][on] = number
        colour = COLOUR_NAMES.index(thing.colour) if thing.colour else len(COLOURS)
        labels["colour"][on] = colour
        labels["count"][on] = min(len(scene.named(thing.name)), 4)
        labels["rank"][on] = rank
    labels["name"][total < BARE] = NOTHING
    return Example(np.asarray(scene.image), labels, present, cover)


def affirmed(picture: Picture, words: tuple[str, ...]) -> str | None:
    """Find which of the words the questions of an easy-VQA picture say is there."""
    for question, answer in picture.questions:
        if answer in words:
            return answer
        asked = [w for w in re.findall(r"\w+", question) if w in words]
        denied = " not " in question or "is no " in question
        if asked and answer in ("yes", "no") and (answer == "yes") != denied:
            return asked[0]
    return None


def picture_example(picture: Picture, grid: int = GRID) -> Example:
    """Label the patches of an easy-VQA picture, as far as its questions tell."""
    pixels = np.asarray(picture.image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    ink = (np.abs(pixels.astype(int) - pixels[:1, :1]).sum(-1) > 60).astype(np.float32)
    share = ink.reshape(grid, SIDE // grid, grid, -1).mean((1, 3)).reshape(-1)
    labels = {key: np.full(grid * grid, IGNORE) for key in SIZES}
    labels["cell"] = own_cells(grid)
    on = share >= min(COVERED, share.max() / 2)
    present = np.zeros(NOTHING, dtype=np.float32)
    shape = affirmed(picture, ("circle", "rectangle", "triangle"))
    if shape:
        labels["name"][on] = LABELS.index(shape)
        present[LABELS.index(shape)] = 1
    if colour := affirmed(picture, COLOUR_NAMES):
        labels["colour"][on] = COLOUR_NAMES.index(colour)
    labels["name"][share < BARE / 4] = NOTHING
    return Example(pixels, labels, present, np.where(on, 0, -1))
