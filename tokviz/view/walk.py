"""A run as an animation (GIF): all tokens, each reduction stage, then layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tokviz.matrix import Reduction
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import attending
from tokviz.view.fates import PLACES, tokens_left
from tokviz.view.run_facts import facts_line
from tokviz.view.run_names import stage_name
from tokviz.view.still import paint, scaled, sheet
from tokviz.view.words import text_tokens

MAX_FRAMES = 60
IN_LAYERS = ("language_model", "cache")
"""Places whose stages belong to a layer of the language model."""
STRIP = 46
"""Height of the caption in pixels."""
FOOT_LINE = 16
"""Height of a line below the picture in pixels."""


@dataclass(frozen=True)
class Frame:
    """One frame of the animation."""

    stage: int
    "Index of the last stage that has been carried out, -1 = none yet."
    layer: int | None
    "Layer of the language model, None outside it."


def walk_frames(trace: Trace) -> list[Frame]:
    """Return the frames: all tokens, stages outside the language model, then its layers."""
    frames, at = [Frame(-1, None)], -1
    for number, stage in enumerate(trace.stages):
        if stage.place not in IN_LAYERS:
            at = number
            frames.append(Frame(at, None))
    layers = trace["attention"].shape[1] if "attention" in trace else 0
    inside = [(i, s) for i, s in enumerate(trace.stages) if s.place in IN_LAYERS]
    for layer in attending(trace, layers).tolist():
        at = max([at, *(i for i, s in inside if s.layer is not None and s.layer <= layer)])
        frames.append(Frame(at, layer))
    # without attention, or behind the last layer that has it
    frames += [Frame(i, None) for i, _ in inside if not layers or i > at]
    step = -(-len(frames) // MAX_FRAMES)
    return frames if step == 1 else [*frames[:-1:step], frames[-1]]


def walk_gif(
    trace: Trace,
    *,
    side: int = 420,
    seconds: float = 0.8,
    sinks: np.ndarray | None = None,
) -> bytes:
    """Return the animation as a GIF.

    Args:
        trace: the run.
        side: longest side of each pane in pixels.
        seconds: time of one frame; the first and the last are shown twice as long.
        sinks: bool [l, n], which do not count for the colour scale; all layers have one scale.
    """
    paper, frames = sheet(trace, side), walk_frames(trace)
    attention = _attention(trace)
    high = _highest(attention, sinks)
    drawn = [_draw(trace, paper, frame, attention, high) for frame in frames]
    times = [int(1000 * seconds)] * len(drawn)
    times[0], times[-1] = 2 * times[0], 2 * times[-1]
    buffer = BytesIO()
    first, *rest = [image.quantize(128, dither=Image.Dither.NONE) for image in drawn]
    first.save(
        buffer, "GIF", save_all=True, append_images=rest, duration=times, loop=0, optimize=False
    )
    return buffer.getvalue()


def _attention(trace: Trace) -> np.ndarray | None:
    """Return [l, n], mean over the answer's words, or None."""
    if "attention" not in trace or not trace.t:
        return None
    return trace["attention"][text_tokens(trace)].astype(np.float32).mean(0)


def _highest(attention: np.ndarray | None, sinks: np.ndarray | None) -> float:
    if attention is None:
        return 0.0
    shown = attention if sinks is None else np.where(sinks, np.nan, attention)
    return float(np.nanmax(shown, initial=0.0))


def _state(trace: Trace, stage: int) -> Reduction:
    before = after = Reduction.identity(trace.n)
    for record in trace.stages[: stage + 1]:
        after = before.then(record.reduction)
        before = after if record.removes else before
    return after


def _draw(
    trace: Trace,
    paper: object,
    frame: Frame,
    attention: np.ndarray | None,
    high: float,
) -> Image.Image:
    whole = _state(trace, frame.stage)
    heat = attention is not None and frame.layer is not None
    share = scaled(attention[frame.layer], high=high) if heat else None  # type: ignore[index]
    image = paint(paper, share, whole.fate, whole.group)  # type: ignore[arg-type]
    small = ImageFont.load_default(size=12)
    foot = footer(trace, image.width - 12, small)
    below = STRIP + image.height
    page = Image.new("RGB", (image.width, below + FOOT_LINE * len(foot) + 8), "white")
    page.paste(image, (0, STRIP))
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=16)
    pen.text((6, 4), caption(trace, frame), fill="#1b2129", font=font)
    for number, line in enumerate(foot):
        pen.text((6, below + 3 + FOOT_LINE * number), line, fill="#4b5563", font=small)
    return page


def footer(trace: Trace, width: int, font: Any) -> list[str]:
    """Return what the run is about in lines of at most `width` pixels of a Pillow font."""
    lines = [""]
    for word in facts_line(trace).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def caption(trace: Trace, frame: Frame) -> str:
    """Return the caption of a frame, two short lines."""
    stage = trace.stages[frame.stage] if frame.stage >= 0 else None
    left = tokens_left(stage.reduction) if stage else trace.n
    where = f"layer {frame.layer}" if frame.layer is not None else "all tokens"
    if stage and frame.layer is None:
        where = f"{stage_name(trace, stage.method, 40)}, {PLACES.get(stage.place, '')}"
    return f"{where}\n{left} of {trace.n} visual tokens"
