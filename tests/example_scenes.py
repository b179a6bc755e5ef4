"""What the example pictures show, by their own list: tests fit whatever is drawn next."""

import json
from pathlib import Path
from typing import NamedTuple

from embedded.things import PLACES, SHAPES

FOLDER = Path(__file__).parents[1] / "assets/examples"


class Shown(NamedTuple):
    """A thing that an example picture shows once."""

    picture: Path
    name: str
    place: str
    """As in "top left"."""


def shown_once() -> list[Shown]:
    """List every thing that is alone of its name in a picture, shapes left out."""
    found = []
    for entry in json.loads((FOLDER / "examples.json").read_text("utf-8")):
        things = [text.split(" ", 1) for text in entry["things"]]
        names = [name for name, _ in things]
        found += [
            Shown(FOLDER / entry["file"], name, place)
            for name, place in things
            if names.count(name) == 1 and name not in SHAPES
        ]
    return found


def picture_of(name: str) -> Path:
    """Return an example picture that shows this thing once.

    Raises:
        LookupError: no example shows it once.
    """
    for shown in shown_once():
        if shown.name == name:
            return shown.picture
    raise LookupError(f"no example picture shows one {name}; the documents ask for it.")


def tokens_at(place: str, rows: int, cols: int) -> list[int]:
    """Return the visual tokens of a cell of the 3 x 3 layout, in reading order."""
    row, col = divmod(PLACES.index(place), 3)
    down = range(row * rows // 3, (row + 1) * rows // 3)
    across = range(col * cols // 3, (col + 1) * cols // 3)
    return [r * cols + c for r in down for c in across]


THING = shown_once()[0]
"""What most tests ask about."""
