"""The toy world: scenes from seeds, the same on every machine.

One to five things on a 3x3 layout over a background. Partners often come together, and now and
then one kind of thing is repeated, so that counting means something. Training and test scenes are
drawn from different streams of random numbers. The first world has noisy gradients behind its
things and draws every name equally often; the varied world has four kinds of background, and draws
some names three times as often.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from embedded.backgrounds import KINDS
from embedded.sprites import ATLAS, sprite
from embedded.things import COLOURS, GLYPHS, NAMES, PARTNER, PLACES, POPULAR, SHAPES

SIDE = 192
"""Width and height of a scene in pixels."""
CELL = SIDE // 3
SPLITS = ("train", "val", "test")
MAX_THINGS = 5
"""The largest number of things in a scene."""


@dataclass(frozen=True)
class World:
    """The habits that scenes are drawn by."""

    name: str
    """Part of every seed, so that worlds share no scene."""
    habit: float
    """How often the partner of a thing is put beside it."""
    backgrounds: tuple[str, ...]
    """Keys of ``backgrounds.KINDS`` to draw from."""
    glyphs: tuple[str, ...]
    """Names to draw from; one that is listed twice comes twice as often."""


FIRST = World("", 0.8, ("gradient",), tuple(GLYPHS))
"""The world of the first model."""
VARIED = World("varied ", 0.5, tuple(KINDS), (*GLYPHS, *POPULAR, *POPULAR))
"""The world of embedded model 2."""

WORLDS = {"first": FIRST, "varied": VARIED}
"""Every world by the name that commands and files give it."""


def world_of(config: object) -> World:
    """Return the world that a model was trained on, by the word `world` of its config.

    A config without the word, or with another one, gives the varied world: models of other origin
    were trained on neither.
    """
    name = getattr(config, "world", None)
    return WORLDS[name] if name in tuple(WORLDS) else VARIED


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
    background: str = "gradient"
    """Kind of background."""

    def named(self, name: str) -> list[Thing]:
        """All things of one name, in reading order."""
        return [thing for thing in self.things if thing.name == name]


def pick_name(rng: random.Random, world: World) -> str:
    """Draw a name; a shape one time in four."""
    return rng.choice(SHAPES) if rng.random() < 0.25 else rng.choice(world.glyphs)


def pick_names(rng: random.Random, world: World) -> list[str]:
    """Draw the names of one scene: partners by habit, sometimes one kind up to four times."""
    wanted = rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5))
    names: list[str] = []
    if rng.random() < 0.45 and wanted > 1:
        names += [pick_name(rng, world)] * rng.randint(2, min(4, wanted))
    while len(names) < wanted:
        name = pick_name(rng, world)
        if name in names:
            continue
        names.append(name)
        if name in PARTNER and PARTNER[name] not in names and rng.random() < world.habit:
            names.append(PARTNER[name])
    return names[:MAX_THINGS]


def place_thing(name: str, cell: int, rng: random.Random) -> Thing:
    """Give a thing a size, a colour and a spot inside its cell."""
    side = rng.randrange(36, 63, 2)
    left = CELL * (cell % 3) + rng.randint(0, CELL - side)
    top = CELL * (cell // 3) + rng.randint(0, CELL - side)
    colour = rng.choice(tuple(COLOURS)) if name in SHAPES else None
    return Thing(name, colour, cell, (left, top, left + side, top + side), rng.random() < 0.5)


def lay_out(rng: random.Random, world: World = FIRST) -> tuple[Thing, ...]:
    """Draw the things of one scene, in reading order."""
    names = pick_names(rng, world)
    cells = rng.sample(range(9), len(names))
    placed = [place_thing(n, c, rng) for n, c in zip(names, cells, strict=True)]
    return tuple(sorted(placed, key=lambda thing: thing.cell))


def repeats(seed: int, split: str, world: World = FIRST) -> bool:
    """Tell, without drawing it, whether a scene holds several things of one name."""
    names = [thing.name for thing in lay_out(stream(seed, split, world), world)]
    return len(set(names)) < len(names)


def draw(
    things: tuple[Thing, ...],
    rng: random.Random,
    side: int = SIDE,
    atlas: Path = ATLAS,
    background: str = "gradient",
) -> Image.Image:
    """Paint things over a background; a larger side gives the same picture in more detail."""
    image = Image.fromarray(KINDS[background](rng, side))
    for thing in things:
        left, top, right, _ = (round(edge * side / SIDE) for edge in thing.box)
        piece = sprite(thing.name, thing.colour, right - left, thing.flip, atlas)
        image.paste(piece, (left, top), piece)
    return image


def stream(seed: int, split: str, world: World) -> random.Random:
    """Begin the random numbers of one scene."""
    return random.Random(f"{world.name}{split}:{seed}")


def scene(
    seed: int,
    split: str = "test",
    side: int = SIDE,
    atlas: Path = ATLAS,
    world: World = FIRST,
) -> Scene:
    """Make one scene; the same world, seed and split give the same scene anywhere.

    Args:
        seed: which scene, any integer >= 0.
        split: train, val or test; the streams share nothing but the world's habits.
        side: pixels of the picture; boxes stay in pixels of the 192 x 192 scene.
        atlas: sprites to draw with.
        world: habits to draw by.

    Raises:
        ValueError: the split is not one of the three.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
    rng = stream(seed, split, world)
    things = lay_out(rng, world)
    many = len(world.backgrounds) > 1
    background = rng.choice(world.backgrounds) if many else world.backgrounds[0]
    image = draw(things, rng, side, atlas, background)
    return Scene(seed, split, things, image, background)


def absent_names(view: Scene) -> list[str]:
    """List the names that are not in the scene."""
    present = {thing.name for thing in view.things}
    return [name for name in NAMES if name not in present]
