"""What does a picture of the toy world look like? Scenes from seeds, the same on any machine.

One to five things on a 3x3 layout over a noisy gradient. Partners come together four times out
of five, and now and then one kind of thing is repeated, so that counting means something.
Training and test scenes are drawn from different streams of random numbers.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from embedded.sprites import ATLAS, sprite
from embedded.things import COLOURS, GLYPHS, NAMES, PARTNER, PLACES, SHAPES

SIDE = 192
"""Width and height of a scene in pixels."""
CELL = SIDE // 3
SPLITS = ("train", "val", "test")
HABIT = 0.8
"""How often the partner of a thing is put beside it."""
MOST = 5
"""The largest number of things in a scene."""


@dataclass(frozen=True)
class Thing:
    """One thing in a scene."""

    name: str
    """One of ``things.NAMES``."""
    colour: str | None
    """Colour word of a shape, None for everything else."""
    cell: int
    """Cell of the 3x3 layout, 0 to 8 in reading order."""
    box: tuple[int, int, int, int]
    """Left, top, right, bottom in pixels of the 192 x 192 scene."""
    flip: bool
    """Mirrored left to right."""

    @property
    def place(self) -> str:
        """The words for the cell, as in "top left"."""
        return PLACES[self.cell]


@dataclass(frozen=True)
class Scene:
    """A rendered picture and what is in it."""

    seed: int
    """Number of the scene within its split."""
    split: str
    """train, val or test."""
    things: tuple[Thing, ...]
    """In reading order of their cells."""
    image: Image.Image
    """RGB, 192 x 192 pixels."""

    def named(self, name: str) -> list[Thing]:
        """All things of one name, in reading order."""
        return [thing for thing in self.things if thing.name == name]


def pick_name(rng: random.Random) -> str:
    """Draw a name; a shape one time in four."""
    return rng.choice(SHAPES) if rng.random() < 0.25 else rng.choice(tuple(GLYPHS))


def pick_names(rng: random.Random) -> list[str]:
    """Draw the names of one scene: partners by habit, sometimes one kind up to four times."""
    wanted = rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5))
    names: list[str] = []
    if rng.random() < 0.45 and wanted > 1:
        names += [pick_name(rng)] * rng.randint(2, min(4, wanted))
    while len(names) < wanted:
        name = pick_name(rng)
        if name in names:
            continue
        names.append(name)
        if name in PARTNER and PARTNER[name] not in names and rng.random() < HABIT:
            names.append(PARTNER[name])
    return names[:MOST]


def place_thing(name: str, cell: int, rng: random.Random) -> Thing:
    """Give a thing a size, a colour and a spot inside its cell."""
    side = rng.randrange(36, 63, 2)
    left = CELL * (cell % 3) + rng.randint(0, CELL - side)
    top = CELL * (cell // 3) + rng.randint(0, CELL - side)
    colour = rng.choice(tuple(COLOURS)) if name in SHAPES else None
    return Thing(name, colour, cell, (left, top, left + side, top + side), rng.random() < 0.5)


def lay_out(rng: random.Random) -> tuple[Thing, ...]:
    """Draw the things of one scene, in reading order."""
    names = pick_names(rng)
    cells = rng.sample(range(9), len(names))
    placed = [place_thing(n, c, rng) for n, c in zip(names, cells, strict=True)]
    return tuple(sorted(placed, key=lambda thing: thing.cell))


def repeats(seed: int, split: str) -> bool:
    """Tell, without drawing it, whether a scene holds several things of one name."""
    names = [thing.name for thing in lay_out(random.Random(f"{split}:{seed}"))]
    return len(set(names)) < len(names)


def draw_background(rng: random.Random, side: int) -> np.ndarray:
    """Draw a gradient between two soft colours with noise, [side, side, 3] uint8."""
    corners = np.array([[rng.randint(150, 255) for _ in range(3)] for _ in range(2)])
    angle = rng.uniform(0, 2 * np.pi)
    axis = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    ramp = np.clip(0.5 + axis[None] * np.cos(angle) + axis[:, None] * np.sin(angle), 0, 1)
    noise = np.random.default_rng(rng.getrandbits(32)).integers(-8, 9, (side, side, 1))
    picture = corners[0] + ramp[..., None] * (corners[1] - corners[0]) + noise
    return np.clip(picture, 0, 255).astype(np.uint8)


def draw(
    things: tuple[Thing, ...], rng: random.Random, side: int = SIDE, atlas: Path = ATLAS
) -> Image.Image:
    """Paint things over a background; a larger side gives the same picture in more detail."""
    image = Image.fromarray(draw_background(rng, side))
    for thing in things:
        left, top, right, _ = (round(edge * side / SIDE) for edge in thing.box)
        piece = sprite(thing.name, thing.colour, right - left, thing.flip, atlas)
        image.paste(piece, (left, top), piece)
    return image


def scene(seed: int, split: str = "test", side: int = SIDE, atlas: Path = ATLAS) -> Scene:
    """Make one scene; the same seed and split give the same scene anywhere.

    Args:
        seed: which scene, any integer >= 0.
        split: train, val or test; the streams share nothing but the world's habits.
        side: pixels of the picture; boxes stay in pixels of the 192 x 192 scene.
        atlas: sprites to draw with.

    Raises:
        ValueError: the split is not one of the three.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
    rng = random.Random(f"{split}:{seed}")
    things = lay_out(rng)
    return Scene(seed, split, things, draw(things, rng, side, atlas))


def absent_names(view: Scene) -> list[str]:
    """List the names that are not in the scene."""
    present = {thing.name for thing in view.things}
    return [name for name in NAMES if name not in present]
