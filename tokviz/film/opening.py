"""Opens films from untrusted sources: a few frames with their times, or an InputError.

A file is decoded by `decode_video.py` in a process of its own with limits; a folder of frames is
read by `tokviz.images`, picture by picture.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from tokviz.errors import InputError
from tokviz.extras import how_to_install
from tokviz.film import decode_video
from tokviz.film.choice import MAX_FRAMES, arguments, request
from tokviz.film.film import Film
from tokviz.images import open_image
from tokviz.keywords import tells_arguments

MAX_FILE_BYTES = 64 * 2**20
MAX_SECONDS = 1_200
MAX_PIXELS = 9_000_000
"""Pixels of a frame in the file: 4K has 8.3 million."""
KEPT_PIXELS = 2_100_000
"""Pixels of a frame in memory: larger ones are halved (or more). Full HD has 2.07 million."""
MAX_RATIO = 100
MAX_PACKETS = 120_000
MAX_FOLDER = 10_000
"""Files of a folder that are looked at."""
MEMORY_BYTES = 3 * 2**30
CPU_SECONDS = 30
WALL_SECONDS = 60
FOLDER_FPS = 24.0
"""What transformers assumes too where frames come without times."""

ALLOWED = "mp4, webm, animated GIF or WebP, or a folder of pictures"
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MOV = re.compile(rb".{4}(?:ftyp|moov|mdat|wide|free|skip)", re.S)
MATROSKA = b"\x1aE\xdf\xa3"


@tells_arguments
def open_film(
    source: Any,
    frames: int | None = None,
    *,
    rate: float | None = None,
    times: Sequence[float] | None = None,
) -> Film:
    """Return a few frames of a film with their times.

    Args:
        source: path or bytes of an mp4, webm, animated GIF or WebP file; or a folder of pictures,
            taken in the order of their names (numbers in them count as numbers); or a Film, which
            is returned as it is.
        frames: how many, 1 to 32, spread evenly from the first to the last; default 8.
        rate: instead: frames per second.
        times: instead: seconds from the beginning; the nearest frames are taken.

    Raises:
        InputError: no film, damaged, too long or too large, or frames that cannot be chosen so.
    """
    if isinstance(source, Film):
        return source
    asked = request(frames, rate, times)
    return replace(_opened(source, asked), chosen=arguments(asked))


def _opened(source: Any, asked: dict[str, Any]) -> Film:
    """Return the frames that a request asks for."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), asked)
    if not isinstance(source, (str, Path)):
        raise InputError(f"a film must be a file, a folder or bytes, got {type(source).__name__}.")
    text = str(source)
    if re.match(r"[a-z][a-z0-9+.-]+:/|data:", text, re.I):
        raise InputError("addresses are not fetched: save the film and give its file.")
    name = f"{(Path(text).name or text)[:80]!r}"
    try:
        path = Path(text)
        if path.is_dir():
            return _from_folder(path, name, asked)
        if not path.is_file():
            raise InputError(f"there is no film {name}.")
        with path.open("rb") as file:
            return _from_file(file, name, asked)
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read ({type(error).__name__}).") from error


def is_film(source: Any) -> bool:
    """Return whether a source is a Film, or the path or bytes of an mp4 or webm file.

    An animated GIF or WebP, or a folder, is a film only where somebody says so.
    """
    if isinstance(source, Film):
        return True
    if isinstance(source, (bytes, bytearray, memoryview)):
        return kind_of(bytes(source[:64])) in decode_video.CONTAINERS
    if not isinstance(source, (str, Path)):
        return False
    try:
        if not Path(source).is_file():
            return False
        with Path(source).open("rb") as file:
            return kind_of(file.read(64)) in decode_video.CONTAINERS
    except (OSError, ValueError):
        return False


def is_moving(path: str | Path) -> bool:
    """Return whether a file is an mp4 or webm, or an animation of several frames."""
    if is_film(path):
        return True
    try:
        with Path(path).open("rb") as file:
            if kind_of(file.read(64)) != "animation":
                return False
        return open_film(path, 1).total > 1
    except (OSError, InputError):
        return False  # a still WebP, or a damaged one, which is refused as a picture


def kind_of(start: bytes) -> str | None:
    """Return "mp4", "webm" or "animation" by a file's first bytes; None for anything else."""
    if start[:6] in (b"GIF87a", b"GIF89a") or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return "animation"
    if re.match(rb".{4}ftyp(?:hei|hev|mif1|msf1|avi[fs]|mia)", start, re.S):
        return None  # a HEIC or AVIF picture
    if MOV.match(start):
        return "mp4"
    return "webm" if start.startswith(MATROSKA) else None


def _from_bytes(data: bytes, asked: dict[str, Any]) -> Film:
    with tempfile.TemporaryFile() as file:
        file.write(data[: MAX_FILE_BYTES + 1])
        file.seek(0)
        return _from_file(file, "the film", asked)


def _from_file(file: BinaryIO, name: str, asked: dict[str, Any]) -> Film:
    """Return the frames of an open file."""
    size = file.seek(0, 2)
    file.seek(0)
    if not size:
        raise InputError(f"{name} is empty (0 bytes): choose another file.")
    if size > MAX_FILE_BYTES:
        raise InputError(f"{name} is over {MAX_FILE_BYTES >> 20} MB; send a smaller film.")
    kind = kind_of(file.read(64))
    file.seek(0)
    if kind is None:
        raise InputError(f"{name} is not a film that can be read. Allowed: {ALLOWED}.")
    return _decoded(file, name, {**asked, "kind": kind})


def limits() -> dict[str, int]:
    """Return the limits that the decoding process keeps."""
    return {
        "memory": MEMORY_BYTES,
        "cpu_seconds": CPU_SECONDS,
        "seconds": MAX_SECONDS,
        "pixels": MAX_PIXELS,
        "kept": KEPT_PIXELS,
        "ratio": MAX_RATIO,
        "packets": MAX_PACKETS,
    }


def _decoded(file: BinaryIO, name: str, asked: dict[str, Any]) -> Film:
    """Decode in a process of its own, and check what it wrote as if it were hostile too."""
    if asked["kind"] in decode_video.CONTAINERS:
        _check_installed()
    script = str(Path(decode_video.__file__))
    most = MAX_FRAMES * KEPT_PIXELS * 3 + 2**20
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", script, json.dumps({**limits(), **asked})],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        cwd=tempfile.gettempdir(),
    )
    clock = threading.Timer(WALL_SECONDS, process.kill)
    clock.start()
    try:
        output = process.stdout.read(most)  # type: ignore[union-attr]
    finally:
        clock.cancel()
        process.kill()
        process.stdout.close()  # type: ignore[union-attr]
        process.wait()
    line, _, pixels = output.partition(b"\n")
    if not line:
        raise InputError(
            f"{name} could not be decoded within {CPU_SECONDS} seconds and "
            f"{MEMORY_BYTES >> 30} GB of memory: send a shorter or smaller film."
        )
    return _film(json.loads(line), pixels, name)


def _check_installed() -> None:
    """Raise InputError where PyAV is missing."""
    if find_spec("av") is None:  # looked for only: its libraries stay in the other process
        raise InputError(
            f"mp4 and webm need the package av: {how_to_install('film')}. An animated GIF or WebP, "
            "or a folder of pictures, works without it."
        )


def _film(head: Any, pixels: bytes, name: str) -> Film:
    """Return the film that a decoding process wrote."""
    if "error" in head:
        raise InputError(f"{name} {str(head['error'])[:300]}.")
    width, height = (int(side) for side in head["size"])
    size, count = width * height * 3, len(head["times"])
    if len(pixels) != size * count or not 0 < width * height <= KEPT_PIXELS:
        raise InputError(f"{name} could not be decoded: its frames are incomplete.")
    frames = tuple(
        Image.frombytes("RGB", (width, height), pixels[i * size : (i + 1) * size])
        for i in range(count)
    )
    times = tuple(float(time) for time in head["times"])
    numbers = tuple(int(number) for number in head["numbers"])
    return Film(frames, times, numbers, int(head["total"]), float(head["duration"]), name)


def _from_folder(path: Path, name: str, asked: dict[str, Any]) -> Film:
    """Return the pictures of a folder as frames."""
    files = []
    for file in path.iterdir():
        if file.suffix.lower() in ENDINGS and not file.name.startswith("."):
            files.append(file)
        if len(files) > MAX_FOLDER:
            raise InputError(f"{name} has over {MAX_FOLDER:,} pictures; at most that are allowed.")
    if not files:
        raise InputError(f"{name} is a folder without pictures. Allowed: {ALLOWED}.")
    files.sort(key=lambda file: [int(p) if p.isdigit() else p for p in _parts(file.name)])
    times = [number / FOLDER_FPS for number in range(len(files))]
    duration = len(files) / FOLDER_FPS
    try:
        numbers = decode_video.sample(times, asked, duration)
    except decode_video.Refused as error:
        raise InputError(f"{name} {error}.") from error
    frames = tuple(open_image(files[number], KEPT_PIXELS) for number in numbers)
    _check_one_size(frames, name)
    note = f"Pictures of a folder have no times: {FOLDER_FPS:g} per second are assumed."
    seconds = tuple(times[number] for number in numbers)
    return Film(frames, seconds, tuple(numbers), len(files), duration, name, (note,))


def _parts(name: str) -> list[str]:
    """Return a name's digits and the text between them, in turn; the first is text."""
    return re.split(r"(\d+)", name)


def _check_one_size(frames: Sequence[Image.Image], name: str) -> None:
    for number, frame in enumerate(frames):
        if frame.size != frames[0].size:
            raise InputError(
                f"the frames of {name} differ in size: the first has {frames[0].width} × "
                f"{frames[0].height} pixels, frame {number + 1} {frame.width} × {frame.height}."
            )
