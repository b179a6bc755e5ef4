"""What can be asked about a scene, in how many wordings, and what is the one right answer?

Six kinds: existence ("yes"), what ("red circle", or "nothing"), place ("top left"), colour
("red"), count ("2") and description ("a dog in the top left, a red circle in the center.").
Place and colour are asked only of things that are there, so the trained model takes such
questions at their word: asking where an absent thing is makes it answer anyway.
"""

import random
from dataclasses import dataclass

from embedded.things import COLOURS, NAMES, PARTNER, PLACES, plural
from embedded.world import Scene, Thing, absent_names

KINDS = ("existence", "what", "place", "colour", "count", "description")

EXISTENCE = (
    "is there a {x} ?", "is there a {x} ?", "is there a {x} in the image ?",
    "is there a {x} in the picture ?", "is there any {x} ?", "do you see a {x} ?",
    "do you see any {x} in the image ?", "can you see a {x} ?",
    "can you see any {x} in the picture ?", "does the image contain a {x} ?",
    "does the picture show a {x} ?", "is a {x} present ?", "are there any {xs} ?",
    "do you see any {xs} ?", "can you find a {x} ?",
)  # fmt: skip
WHAT = (
    "what is in the {p} ?", "what is in the {p} ?", "what is at the {p} ?",
    "what is on the {p} ?", "what is in the {p} of the image ?",
    "what is at the {p} of the picture ?", "what do you see in the {p} ?",
    "what can you see at the {p} ?", "which thing is in the {p} ?",
)  # fmt: skip
PLACE = (
    "where is the {x} ?", "where is the {x} ?", "where is the {x} in the image ?",
    "where is the {x} in the picture ?", "where do you see the {x} ?",
    "where can you see the {x} ?", "in which place is the {x} ?", "where can i find the {x} ?",
)  # fmt: skip
COLOUR = (
    "what color is the {x} ?", "what colour is the {x} ?", "what is the color of the {x} ?",
    "what is the colour of the {x} ?", "which color is the {x} ?",
    "which colour does the {x} have ?", "what color does the {x} have ?",
)  # fmt: skip
COUNT = (
    "how many {xs} are there ?", "how many {xs} are there ?", "how many {xs} do you see ?",
    "how many {xs} are in the image ?", "how many {xs} are in the picture ?",
    "how many {xs} can you see ?", "count the {xs} .", "what is the number of {xs} ?",
)  # fmt: skip
DESCRIPTION = (
    "describe the image .", "describe the image .", "describe the picture .",
    "describe this image .", "describe this picture .", "what do you see ?",
    "what can you see ?", "what is in the image ?", "what is in the picture ?",
    "what is shown in the image ?", "what does the picture show ?",
)  # fmt: skip
ABSENT_PARTNER = 0.1
"""How often a question about an absent thing asks for the missing partner, where one misses."""


@dataclass(frozen=True)
class Question:
    """A question about one scene with its only right answer."""

    text: str
    """As a visitor would type it, lower case."""
    answer: str
    """Exactly what the model should say."""
    kind: str
    """One of ``KINDS``."""
    thing: Thing | None = None
    """The thing in the scene that answers the question, None if there is none or many."""
    word: str = ""
    """The name or place that the question asks for, "" for descriptions."""


def phrase(thing: Thing) -> str:
    """Name a thing with its colour, if it has one: "dog", "red circle"."""
    return f"{thing.colour} {thing.name}" if thing.colour else thing.name


def describe(scene: Scene) -> str:
    """List all things in reading order: "a dog in the top left, a cat in the center."."""
    return ", ".join(f"a {phrase(t)} in the {t.place}" for t in scene.things) + "."


def lone(scene: Scene) -> list[Thing]:
    """List the things whose name occurs once in the scene."""
    return [thing for thing in scene.things if len(scene.named(thing.name)) == 1]


def missing_partners(scene: Scene) -> list[str]:
    """List the absent partners of the things that are there."""
    absent = set(absent_names(scene))
    return sorted({PARTNER.get(thing.name, "") for thing in scene.things} & absent)


def absent_name(scene: Scene, rng: random.Random) -> str:
    """Draw a name that is not in the scene, now and then a missing partner."""
    missing = missing_partners(scene)
    if missing and rng.random() < ABSENT_PARTNER:
        return rng.choice(missing)
    return rng.choice(absent_names(scene))


def ask_existence(scene: Scene, rng: random.Random, name: str = "") -> Question:
    """Ask whether there is a thing; of the drawn names half are there."""
    if not name:
        there = rng.random() < 0.5
        name = rng.choice(scene.things).name if there else absent_name(scene, rng)
    found = scene.named(name)
    text = rng.choice(EXISTENCE).format(x=name, xs=plural(name))
    only = found[0] if len(found) == 1 else None
    return Question(text, "yes" if found else "no", "existence", only, name)


def ask_what(scene: Scene, rng: random.Random) -> Question:
    """Ask what is in a cell; three cells in ten are drawn empty."""
    cells = {thing.cell: thing for thing in scene.things}
    empty = [cell for cell in range(9) if cell not in cells]
    cell = rng.choice(empty) if rng.random() < 0.3 else rng.choice(tuple(cells))
    place = PLACES[cell]
    if place == "center":
        place = rng.choice(("center", "middle"))
    answer = phrase(cells[cell]) if cell in cells else "nothing"
    text = rng.choice(WHAT).format(p=place)
    return Question(text, answer, "what", cells.get(cell), place)


def ask_place(scene: Scene, rng: random.Random) -> Question | None:
    """Ask where a thing is, None if no name occurs just once."""
    if not (things := lone(scene)):
        return None
    thing = rng.choice(things)
    text = rng.choice(PLACE).format(x=thing.name)
    return Question(text, thing.place, "place", thing, thing.name)


def ask_colour(scene: Scene, rng: random.Random) -> Question | None:
    """Ask for the colour of a shape, None if no shape occurs just once."""
    if not (things := [thing for thing in lone(scene) if thing.colour]):
        return None
    thing = rng.choice(things)
    text = rng.choice(COLOUR).format(x=thing.name)
    return Question(text, str(thing.colour), "colour", thing, thing.name)


def ask_count(scene: Scene, rng: random.Random) -> Question:
    """Ask how many things of one name there are, 0 to 4; repeated names are preferred."""
    names = sorted({thing.name for thing in scene.things})
    many = [name for name in names if len(scene.named(name)) > 1]
    if rng.random() < 0.2:
        name = absent_name(scene, rng)
    else:
        name = rng.choice(many) if many and rng.random() < 0.7 else rng.choice(names)
    found = scene.named(name)
    text = rng.choice(COUNT).format(x=name, xs=plural(name))
    only = found[0] if len(found) == 1 else None
    return Question(text, str(len(found)), "count", only, name)


def ask_description(scene: Scene, rng: random.Random) -> Question:
    """Ask for a description of everything."""
    only = scene.things[0] if len(scene.things) == 1 else None
    return Question(rng.choice(DESCRIPTION), describe(scene), "description", only)


ASKERS = dict(
    zip(
        KINDS,
        (ask_existence, ask_what, ask_place, ask_colour, ask_count, ask_description),
        strict=True,
    )
)


def ask(scene: Scene, kind: str, rng: random.Random) -> Question | None:
    """Ask one question of a kind, None if the scene has nothing to ask it of."""
    return ASKERS[kind](scene, rng)


def questions(scene: Scene, rng: random.Random) -> list[Question]:
    """Ask one question of every kind that fits the scene.

    Args:
        scene: what to ask about.
        rng: draws names and wordings; ``random.Random(scene.seed)`` makes it repeatable.

    Returns:
        Four to six questions in the order of ``KINDS``.
    """
    asked = (ask(scene, kind, rng) for kind in KINDS)
    return [question for question in asked if question]


def templates() -> list[str]:
    """List every wording, for the vocabulary."""
    return [*EXISTENCE, *WHAT, *PLACE, *COLOUR, *COUNT, *DESCRIPTION]


def words() -> list[str]:
    """List every name, plural, colour and place word that can fill a wording."""
    names = [*NAMES, *map(plural, NAMES), *COLOURS, "nothing", "yes", "no", *"01234"]
    return [*names, *(word for place in PLACES for word in place.split())]
