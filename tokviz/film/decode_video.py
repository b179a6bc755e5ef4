"""Decodes a film in a process of its own; run as a script, it trusts nothing in the file.

    python -I decode_video.py '{"kind": "mp4", "count": 8, ...}' < film.mp4 > frames

A film is a program for a decoder of a million lines of C. So it runs where it can do little harm:
in a process with limits on memory, processor time, open files and written bytes, without threads,
without the parent's environment, and with the file as its only input. The container format is
chosen from the first bytes, never guessed by the library, so that no playlist or network format
(hls, concat, dash ...) is reached; protocols other than the given file and codecs other than CODECS
are off. This file imports nothing of tokviz: in isolated mode (-I) Python finds installed packages
only.

Output: one line of JSON, then the RGB bytes of the frames; or a line {"error": clause}.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

CONTAINERS = {"mp4": "mov,mp4,m4a,3gp,3g2,mj2", "webm": "matroska,webm"}
"""Kind of a file -> libavformat's name of the one demuxer that may read it."""
CODECS = ("h264", "hevc", "mpeg4", "mjpeg", "vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9")
SHORTEST = 0.02
"""Seconds; animations with shorter frames are shown by browsers at ten frames per second."""
TENTH = 0.1


class Refused(Exception):
    """The film cannot be used; the text is a clause that follows the file's name."""


def main() -> None:
    """Read the film on standard input and write the frames that the request asks for."""
    asked = json.loads(sys.argv[1])
    confine(asked)
    file = io.BufferedReader(io.FileIO(0))
    file.seek(0)  # the parent shares the place in the file, and it has read the first bytes
    try:
        read = animation if asked["kind"] == "animation" else container
        head, frames = read(file, asked)
    except Refused as error:
        head, frames = {"error": str(error)}, []
    except MemoryError:
        head, frames = {"error": "needs too much memory to decode"}, []
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises on a hostile file
        head, frames = {"error": f"is damaged ({type(error).__name__} while decoding)"}, []
    out = sys.stdout.buffer
    out.write(json.dumps(head).encode() + b"\n")
    for frame in frames:
        out.write(frame.tobytes())
    out.flush()


def confine(asked: dict[str, Any]) -> None:
    """Lower the limits of this process; where the system has none, the parent's clock remains."""
    try:
        resource = import_module("resource")
    except ImportError:
        return
    for name, most in (
        ("RLIMIT_AS", asked["memory"]),
        ("RLIMIT_CPU", asked["cpu_seconds"]),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", 64),
    ):
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))


# -- which frames -------------------------------------------------------------------------------


def sample(times: Sequence[float], asked: dict[str, Any], duration: float) -> list[int]:
    """Return the numbers of the frames to take, ascending, none twice.

    Args:
        times: seconds of every frame from the first, ascending.
        asked: `count` (spread evenly, first and last frame included), or `rate` (per second), or
            `times` (seconds); and `most`, how many frames are allowed.
        duration: seconds of the film.

    Raises:
        Refused: too many frames, or a time after the end.
    """
    last = len(times) - 1
    if asked.get("count") is not None:
        count = min(asked["count"], len(times))
        if count == 1:
            return [last // 2]
        return [round(i * last / (count - 1)) for i in range(count)]
    if asked.get("rate") is not None:
        number = int(times[-1] * asked["rate"]) + 1
        if number > asked["most"]:
            raise Refused(
                f"has {number} frames at {asked['rate']:g} per second in its {duration:.1f} s; at "
                f"most {asked['most']} are allowed: give a lower rate, or a number of frames"
            )
        wanted = [i / asked["rate"] for i in range(number)]
    else:
        wanted = asked["times"]
        if max(wanted) > duration:
            raise Refused(f"ends at {duration:.1f} s; there is no frame at {max(wanted):g} s")
    return sorted({nearest(times, time) for time in wanted})


def nearest(times: Sequence[float], time: float) -> int:
    """Return the number of the frame whose time is nearest; of two, the earlier."""
    return min(range(len(times)), key=lambda i: abs(times[i] - time))


def described(times: Sequence[float], numbers: Sequence[int], duration: float) -> dict[str, Any]:
    """Return what the parent wants to know about the film and the chosen frames."""
    return {
        "times": [times[number] for number in numbers],
        "numbers": list(numbers),
        "total": len(times),
        "duration": duration,
    }


# -- mp4 and webm -------------------------------------------------------------------------------


def container(file: Any, asked: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Read frames of an mp4 or webm file with PyAV."""
    av = import_module("av")
    av.logging.set_level(None)
    options = {
        "protocol_whitelist": "",
        "format_whitelist": CONTAINERS[asked["kind"]],
        "codec_whitelist": ",".join(CODECS),
        "enable_drefs": "0",
    }
    kind = CONTAINERS[asked["kind"]].split(",")[1 if asked["kind"] == "mp4" else 0]
    with av.open(file, format=kind, options=options) as opened:
        stream = picture_stream(opened, asked)
        every, keys = stamps(opened, stream, asked)
        base = float(stream.time_base)
        times = [(pts - every[0]) * base for pts in every]
        step = times[-1] / (len(times) - 1) if len(times) > 1 else 1 / rate_of(stream)
        duration = times[-1] + step
        check_whole(opened, stream, duration)
        numbers = sample(times, asked, duration)
        pictures = decoded(opened, stream, [every[i] for i in numbers], keys, asked)
        head = described(times, numbers, duration)
        return sized(head, [upright(frame, asked) for frame in pictures])


def picture_stream(opened: Any, asked: dict[str, Any]) -> Any:
    """Return the stream of pictures; raise Refused if there is none, or none that is allowed."""
    cover = 0x400  # AV_DISPOSITION_ATTACHED_PIC: the picture on a song
    streams = [s for s in opened.streams.video if not int(getattr(s, "disposition", 0)) & cover]
    if not streams:
        sound = ", only sound" if opened.streams.audio else ""
        raise Refused(f"has no pictures{sound}")
    stream = streams[0]
    context = stream.codec_context
    if context is None or context.name not in CODECS:
        name = context.name if context is not None else "unknown"
        raise Refused(f"has pictures of the codec {name}; allowed are H.264, H.265, VP8, VP9, AV1")
    check_pixels(context.width, context.height, asked)
    seconds = (opened.duration or 0) / 1e6
    if seconds > asked["seconds"]:
        raise Refused(too_long(seconds, asked))
    context.thread_type = "NONE"
    context.options = {"max_pixels": str(asked["pixels"]), "threads": "1"}
    return stream


def too_long(seconds: float, asked: dict[str, Any]) -> str:
    """Return the clause about a film that is too long."""
    most = f"{asked['seconds'] / 60:.0f} minutes"
    return f"is {seconds / 60:,.0f} minutes long; at most {most} are allowed: cut a part out"


def check_pixels(width: int, height: int, asked: dict[str, Any]) -> None:
    """Raise Refused for frames without pixels, too many, or of an extreme shape."""
    if not width or not height:
        raise Refused("has frames without pixels")
    if width * height > asked["pixels"]:
        raise Refused(
            f"has frames of {width} x {height} = {width * height / 1e6:.1f} megapixels; at most "
            f"{asked['pixels'] / 1e6:.0f} are allowed: scale it down first"
        )
    if max(width, height) > asked["ratio"] * min(width, height):
        raise Refused(
            f"has frames of {width} x {height} pixels; one side may be at most {asked['ratio']} "
            "times the other"
        )


def rate_of(stream: Any) -> float:
    """Return the frames per second that the file claims; 25 if it claims none."""
    claimed = float(stream.average_rate or stream.guessed_rate or 0)
    return claimed if 0 < claimed < 1000 else 25.0


def stamps(opened: Any, stream: Any, asked: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Read all packets without decoding; return the times of frames and of key frames, ascending.

    What the header says about their number is not asked for: it may claim anything.
    """
    every, keys = [], []
    for packet in opened.demux(stream):
        if packet.pts is None or not packet.size or packet.is_discard:
            continue
        every.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
        if len(every) > asked["packets"]:
            raise Refused(f"has over {asked['packets']:,} frames: cut a part out")
    if not every:
        raise Refused("has no frames: it is empty or cut off")
    every = sorted(set(every))
    seconds = (every[-1] - every[0]) * float(stream.time_base)
    if seconds > asked["seconds"]:
        raise Refused(too_long(seconds, asked))
    return every, sorted(keys)


def check_whole(opened: Any, stream: Any, duration: float) -> None:
    """Raise Refused if the frames end long before the header's end."""
    base = float(stream.time_base)
    claimed = (stream.duration * base) if stream.duration else (opened.duration or 0) / 1e6
    if claimed > 1.1 * duration + 1:
        raise Refused(
            f"is cut off: it should have {claimed:.1f} s, and its pictures end at {duration:.1f} s"
        )


def decoded(
    opened: Any, stream: Any, wanted: Sequence[int], keys: Sequence[int], asked: dict[str, Any]
) -> Iterator[Any]:
    """Yield the frames with these times; jump to a key frame where that saves decoding."""
    frames: Iterator[Any] = iter(())
    reached: int | None = None
    for pts in wanted:
        before = max((key for key in keys if key <= pts), default=None)
        if reached is None or (before is not None and before > reached):
            opened.seek(pts if before is None else before, stream=stream, backward=True)
            frames = opened.decode(stream)
        for frame in frames:
            check_pixels(frame.width, frame.height, asked)
            if frame.pts is not None and frame.pts >= pts:
                reached = frame.pts
                break
        else:
            raise Refused("is damaged or cut off: not all of its frames can be decoded")
        if frame.is_corrupt:
            raise Refused("is damaged: a frame cannot be decoded")
        yield frame


def upright(frame: Any, asked: dict[str, Any]) -> Any:
    """Return a decoded frame as an RGB picture, turned as the file says, scaled down if large."""
    picture = frame.to_image()
    turned = getattr(frame, "rotation", 0) % 360
    if turned in (90, 180, 270):
        image = import_module("PIL.Image")
        picture = picture.transpose(getattr(image.Transpose, f"ROTATE_{turned}"))
    return smaller(picture, asked)


def smaller(picture: Any, asked: dict[str, Any]) -> Any:
    """Return a picture scaled down by a whole number, so that it has at most `kept` pixels."""
    factor = 1
    while -(-picture.width // factor) * -(-picture.height // factor) > asked["kept"]:
        factor += 1
    return picture if factor == 1 else picture.reduce(factor)


def sized(head: dict[str, Any], frames: list[Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return the head with the size of the frames; raise Refused if they differ."""
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) > 1:
        words = " and ".join(f"{width} x {height}" for width, height in sizes[:2])
        raise Refused(f"changes the size of its frames ({words})")
    return {**head, "size": sizes[0]}, frames


# -- animated GIF and WebP ----------------------------------------------------------------------


def animation(file: Any, asked: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Read frames of an animated GIF or WebP with Pillow."""
    image: Any = import_module("PIL.Image")
    image.MAX_IMAGE_PIXELS = None  # check_pixels has a lower limit, and says it in words
    with image.open(file, formats=("GIF", "WEBP")) as opened:
        width, height = opened.size
        check_pixels(width, height, asked)
        times, end = [], 0.0
        for number in range(asked["packets"] + 1):
            try:
                opened.seek(number)
            except EOFError:
                break
            opened.load()
            shown = opened.info.get("duration", 0) / 1000
            times.append(end)
            end += shown if shown >= SHORTEST else TENTH
            if end > asked["seconds"]:
                raise Refused(too_long(end, asked))
        else:
            raise Refused(f"has over {asked['packets']:,} frames: cut a part out")
        numbers, frames = sample(times, asked, end), []
        for number in range(numbers[-1] + 1):
            opened.seek(number)  # in turn: a frame is painted over those before it
            if number in numbers:
                frames.append(smaller(on_white(opened, image), asked))
        return sized(described(times, numbers, end), frames)


def on_white(opened: Any, image: Any) -> Any:
    """Return the current frame of an animation as RGB, transparent parts white."""
    white = image.new("RGBA", opened.size, "white")
    return image.alpha_composite(white, opened.convert("RGBA")).convert("RGB")


if __name__ == "__main__":
    main()
