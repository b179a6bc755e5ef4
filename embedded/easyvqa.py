"""How is easy-VQA (Victor Zhou, MIT licence) read as questions about pictures?

4,000 training and 1,000 test pictures of 64 x 64 pixels with one shape each, 38,575 and 9,673
questions, 13 answers. The test split is only ever a test.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from PIL import Image

SHAPES = ("circle", "rectangle", "triangle")


@dataclass(frozen=True)
class Picture:
    """One easy-VQA picture and all that is asked about it."""

    number: int
    """Number of the picture within its split."""
    split: str
    """train or test."""
    questions: tuple[tuple[str, str], ...]
    """Question and answer, as published."""

    @property
    def image(self) -> Image.Image:
        """RGB, 64 x 64 pixels."""
        path = files("easy_vqa") / "data" / self.split / "images" / f"{self.number}.png"
        with path.open("rb") as file:
            return Image.open(file).convert("RGB")

    @property
    def shape(self) -> str | None:
        """The shape, where a question tells it."""
        return next((answer for _, answer in self.questions if answer in SHAPES), None)


@cache
def pictures(split: str) -> tuple[Picture, ...]:
    """Read all pictures of a split with their questions.

    Args:
        split: train or test.
    """
    text = (files("easy_vqa") / "data" / split / "questions.json").read_text()
    asked: dict[int, list[tuple[str, str]]] = {}
    for question, answer, number in json.loads(text):
        asked.setdefault(number, []).append((question, answer))
    return tuple(Picture(n, split, tuple(turns)) for n, turns in sorted(asked.items()))


def texts() -> list[str]:
    """List the words of all training questions and answers, for the vocabulary."""
    turns = {text for picture in pictures("train") for turn in picture.questions for text in turn}
    return sorted({word for text in turns for word in re.findall(r"\w+", text)})
