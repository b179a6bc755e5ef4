"""Visitors' pictures: few are opened at the same time, and what that took is given back.

A picture file of 1 MB may hold 40 megapixels: 160 MB once decoded. Eight visitors who send one at
the same time would take 1.3 GB; and what C's allocator has got it keeps, although all is freed.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from tokviz.errors import InputError
from tokviz.film import Film, is_film, open_film
from tokviz.film.choice import CHOICES
from tokviz.film.opening import is_moving
from tokviz.images import open_image

READ_PIXELS = 16384 * 28 * 28
"""Pictures of more pixels are read at half their width and height. So many, 12.8 megapixels, the
largest processor of our families keeps (Qwen2-VL); the others keep 5 at most."""
AT_ONCE = 2
"""Pictures that are decoded at the same time."""
LARGE = 4_000_000
"""Pixels from which on memory is given back after reading; it takes milliseconds."""


MAX_PICTURES = 8
"""Pictures of one prompt."""
SOURCES = ","
"""Between the names of several stored examples that one question is about."""

Shown = Image.Image | Film | list[Image.Image]
"""What a question is about: one picture, a film, or several pictures."""


@dataclass(frozen=True)
class Sent:
    """Files that a visitor uploaded in place of one picture: several, or a film."""

    paths: tuple[str, ...] = ()
    film: bool = False
    frames: int | None = None
    "Frames of a film, evenly spread; None = the default, or as one of the next two says."
    rate: float | None = None
    "Instead: frames per second."
    times: tuple[float, ...] | None = None
    "Instead: the frames at these seconds."
    examples: tuple[str, ...] = ()
    "The stored example of each path, empty for an uploaded file; none at all where all are."

    def __bool__(self) -> bool:
        return bool(self.paths)

    @property
    def choice(self) -> dict[str, Any]:
        """Which frames of a film are asked for, as arguments of `open_film`."""
        return {"frames": self.frames, "rate": self.rate, "times": self.times}

    def choosing(self, choice: Mapping[str, Any]) -> Sent:
        """Return the film with other frames."""
        return replace(self, **{**dict.fromkeys(CHOICES), **choice})

    @property
    def names(self) -> tuple[str, ...]:
        """The stored example of each path, empty for an uploaded file."""
        return self.examples or ("",) * len(self.paths)

    @property
    def source(self) -> str:
        """The stored examples that these pictures are, in their order; empty where one is none."""
        return SOURCES.join(self.names) if all(self.names) else ""

    def ordered(self, order: Sequence[int]) -> Sent:
        """Return the files with these numbers, in this order."""
        names, paths = self.names, self.paths
        chosen = tuple(paths[i] for i in order)
        return replace(self, paths=chosen, examples=tuple(names[i] for i in order))

    def __deepcopy__(self, memo: Any) -> Sent:
        return self


def as_list(shown: Shown) -> list[Image.Image]:
    """Return the pictures, or the frames."""
    if isinstance(shown, Film):
        return list(shown.frames)
    return shown if isinstance(shown, list) else [shown]


def given(shown: Shown) -> Any:
    """Return what the model's calls take: a film, or a list of pictures."""
    return shown if isinstance(shown, Film) else as_list(shown)


def sent_of(paths: Sequence[str]) -> Sent:
    """Return what was uploaded; raise InputError for too many, or a film among pictures."""
    if not paths:
        return Sent()
    if len(paths) == 1 and is_moving(paths[0]):
        return Sent(tuple(paths), True)
    check_count(paths)
    if any(map(is_moving, paths)):
        raise InputError("a film must come alone: ask about it without other pictures.")
    return Sent(tuple(paths))


def check_count(paths: Sequence[Any]) -> None:
    """Raise InputError for more pictures than one question may be about."""
    if len(paths) > MAX_PICTURES:
        raise InputError(f"at most {MAX_PICTURES} pictures at once, got {len(paths)}.")


class Pictures:
    """Opens pictures and films, a few at the same time; the others wait."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._places = threading.BoundedSemaphore(at_once)

    def open(self, source: Any) -> Shown:
        """Return a picture, several, or a film.

        Args:
            source: a picture (see `tokviz.images.open_image`; it is read with at most READ_PIXELS),
                a list of pictures, an mp4 or webm file, a `Sent`, or what this has returned.
        """
        if isinstance(source, Film):
            return source
        if isinstance(source, Sent) and source.film:
            with self._places:
                return open_film(source.paths[0], **source.choice)
        if isinstance(source, Sent):
            return self.several(source.paths)
        if isinstance(source, list):
            return self.several(source)
        if is_film(source):
            with self._places:
                return open_film(source)
        return self.picture(source)

    def several(self, sources: Sequence[Any]) -> Shown:
        """Return several pictures, or the only one."""
        opened = [self.picture(source) for source in sources]
        return opened[0] if len(opened) == 1 else opened

    def picture(self, source: Any) -> Image.Image:
        """Return one picture as RGB of at most READ_PIXELS pixels."""
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
