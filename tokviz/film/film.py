"""The frames of a film that a model gets, with their times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from PIL import Image


@dataclass(frozen=True, eq=False)
class Film:
    """A few frames of a film, all of one size, in the order of their times."""

    frames: tuple[Image.Image, ...]
    "RGB, upright."
    times: tuple[float, ...]
    "Seconds from the film's first frame, one per frame, ascending."
    numbers: tuple[int, ...]
    "Each frame's number among all frames of the film, from 0."
    total: int
    "Frames of the whole film."
    duration: float
    "Seconds of the whole film, its last frame included."
    name: str = "the film"
    "Its file's name, for messages."
    notes: tuple[str, ...] = ()
    "Sentences for the user about how the frames were read."
    chosen: Mapping[str, Any] = field(default_factory=dict)
    "How the frames were chosen: one of the arguments frames, rate and times of `open_film`."

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of every frame in pixels."""
        return self.frames[0].size

    @property
    def fps(self) -> float:
        """Mean frames per second of the whole film."""
        return self.total / self.duration

    @cached_property
    def steady(self) -> bool:
        """Whether a frame's number divided by `fps` is its time (to the 20th of a second)."""
        pairs = zip(self.numbers, self.times, strict=True)
        return all(abs(number / self.fps - time) < 0.05 for number, time in pairs)

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        """Return one line, without the pixels."""
        width, height = self.size
        return (
            f"<Film {self.name}: {len(self)} of {self.total} frames, {width} x {height} pixels, "
            f"{self.duration:.1f} s>"
        )

    def with_frames(self, frames: tuple[Image.Image, ...]) -> Film:
        """Return the film with other pixels at the same times."""
        return replace(self, frames=frames)
