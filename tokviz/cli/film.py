"""The flags that choose the frames of a film, and the pictures of a command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from tokviz.errors import InputError
from tokviz.film import DEFAULT_FRAMES, MAX_FRAMES, Film, is_film, open_film
from tokviz.film.opening import MAX_FILE_BYTES
from tokviz.images import MAX_FILE_BYTES as MAX_PICTURE_BYTES

STDIN = "-"
"""Stands for the standard input in place of a picture, or of a question."""


def add_film_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags that choose frames; with one of them a GIF, WebP or folder is a film, too."""
    count = f"a film's frames, evenly spread, 1 to {MAX_FRAMES} (default: {DEFAULT_FRAMES})"
    add = command.add_mutually_exclusive_group().add_argument
    add("--frames", metavar="N", help=count)
    add("--rate", metavar="R", help="instead: so many frames per second")
    add("--times", metavar="S,S", help="instead: the frames at these seconds")


def shown(arguments: argparse.Namespace, images: Sequence[str]) -> list[Any]:
    """Return pictures as they are given, or the one film that is given.

    Raises:
        InputError: frames are chosen, and there is not exactly one film.
    """
    given = [standard_input() if image == STDIN else image for image in images]
    chosen = (arguments.frames, arguments.rate, arguments.times)
    if all(one is None for one in chosen) and not any(map(is_film, given)):
        return [one[: MAX_PICTURE_BYTES + 1] if isinstance(one, bytes) else one for one in given]
    if len(given) != 1:
        raise InputError(f"a film must come alone, got {len(given)} files.")
    return [film(arguments, given[0])]


def film(arguments: argparse.Namespace, source: Any) -> Film:
    """Return the film with the frames that the flags choose."""
    return open_film(source, **chosen_frames(arguments))


def chosen_frames(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the flags say as arguments of `open_film`."""
    times = None if arguments.times is None else arguments.times.split(",")
    return {"frames": arguments.frames, "rate": arguments.rate, "times": times}


def standard_input() -> bytes:
    """Return the standard input, one byte more than is allowed, so that it is refused as such."""
    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
