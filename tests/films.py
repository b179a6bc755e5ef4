"""Writes small films for tests: mp4 and webm with PyAV, animations with Pillow."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tokviz.film import Film


def clock(count: int, size: tuple[int, int] = (96, 96)) -> list[Image.Image]:
    """Frames of grey with a number of white pixels in the first row band that tells their number.

    Frame i is of brightness 40 + 5 i, so that it is known after lossy encoding too.
    """
    return [Image.new("RGB", size, (40 + 5 * i,) * 3) for i in range(count)]


def number_of(frame: Image.Image) -> int:
    """Return the number of a frame of `clock`, read off its pixels."""
    return round((float(np.asarray(frame).mean()) - 40) / 5)


def write_film(
    path: Path,
    frames: Sequence[Image.Image],
    rate: int = 10,
    codec: str = "libx264",
    *,
    gop: int = 12,
    sound: bool = False,
) -> Path:
    """Encode frames as a film file; its ending chooses the container."""
    with av.open(str(path), "w") as out:
        stream = None
        if frames:
            stream = out.add_stream(codec, rate=rate, options={"g": str(gop)})
            stream.width, stream.height = frames[0].size
            stream.pix_fmt = "yuv420p"
        audio = out.add_stream("aac", rate=8000, layout="mono") if sound else None
        if audio is not None:
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            tone.sample_rate = 8000
            tone.time_base = Fraction(1, 8000)
            for at in range(8):
                tone.pts = at * 1024
                out.mux(audio.encode(tone))
            out.mux(audio.encode(None))
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_image(frame)))
        if stream is not None:
            out.mux(stream.encode(None))
    return path


def write_animation(path: Path, frames: Sequence[Image.Image], milliseconds: int = 100) -> Path:
    """Write an animated GIF or WebP."""
    options = {"lossless": True} if path.suffix == ".webp" else {}
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, **options
    )
    return path


def noise_film(count: int, size: tuple[int, int] = (96, 64)) -> Film:
    """A film of noise, two frames per second; no two frames are alike."""
    rng = np.random.default_rng(0)
    width, height = size
    frames = tuple(
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for _ in range(count)
    )
    return film_of(frames)


def film_of(frames: Sequence[Image.Image], fps: float = 2.0) -> Film:
    """A film of exactly these frames."""
    count = len(frames)
    times = tuple(i / fps for i in range(count))
    return Film(tuple(frames), times, tuple(range(count)), count, count / fps)
