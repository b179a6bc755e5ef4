"""Models of true size with random weights, built from published configurations, and what they cost.

python -m benchmarks.true_size [--rounds N] [--only NAME]: no download is needed. The time of a
forward pass does not depend on the weights' values; the words that come out mean nothing. Counted
is processor time, since other programs move wall time; all ways take turns, and medians are shown
with their range.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

import tokviz
from benchmarks.engine import no_end_tokens
from benchmarks.true_size_models import qwen3_vl_2b, smolvlm_256m
from tokviz.capture import Capture
from tokviz.models.runs.sink_search import search_sinks

PROMPT = "Describe the image."
NEW_TOKENS = 24
LANES = ("divprune", "visionzip", "fastv")
"""The methods of the lanes beside the full answer, at a quarter of the tokens."""
CASES: dict[str, tuple[Callable[[], Any], tuple[int, int]]] = {
    "SmolVLM-256M, 5 tiles": (lambda: smolvlm_256m(1024), (1024, 1024)),
    "SmolVLM-256M, 17 tiles": (lambda: smolvlm_256m(2048), (2048, 2048)),
    "Qwen3-VL-2B, every third layer, 1080p": (qwen3_vl_2b, (1920, 1080)),
}
"""What is measured -> how the model is built, and the picture's size in pixels. SmolVLM's tiles: 2
x 2 or 4 x 4 of 512 pixels, and one of the whole."""


def picture(size: tuple[int, int]) -> Image.Image:
    """Return a fixed picture; its content does not matter for the time."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(noise)


def searched(vlm: Any) -> None:
    """Search the sink dimensions, as before the first answer."""
    with vlm.guarded():
        search_sinks(vlm)


def ways(vlm: Any, image: Image.Image, n: int) -> dict[str, Callable[[], Any]]:
    """Return what is compared with an answer of which nothing is recorded; n visual tokens."""
    off = {"max_new_tokens": NEW_TOKENS, "capture": Capture.nothing()}
    plans = [None, *(tokviz.plan(name, keep=max(n // 4, 1)) for name in LANES)]
    lanes = f"4 lanes of all that the page shows, full, {', '.join(LANES)}"
    return {
        "nothing recorded": lambda: vlm.answer([image], PROMPT, **off),
        "all that the page shows": lambda: vlm.answer([image], PROMPT, max_new_tokens=NEW_TOKENS),
        lanes: lambda: list(vlm.stream([image], PROMPT, plans, NEW_TOKENS)),
        "the search for sink dimensions": lambda: searched(vlm),
    }


def race(found: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the processor seconds of every round of every way; the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for number in range(rounds + 1):
        for name, way in found.items():
            began = time.process_time()
            way()
            if number:
                seconds[name].append(time.process_time() - began)
    return seconds


def lines(rounds: int, only: str = "") -> Iterator[str]:
    """Measure; yield one line for each model, picture and way."""
    for name, (build, pixels) in CASES.items():
        if only not in name:
            continue
        vlm = build()
        yield f"{name}, random weights: {vlm.info['parameters']:,} parameters"
        yield from measured(vlm, picture(pixels), rounds)


def measured(vlm: Any, image: Image.Image, rounds: int) -> Iterator[str]:
    """Measure one model on one picture; yield one line for each way."""
    with no_end_tokens(vlm):
        vlm.sink_dims  # noqa: B018  searched once per model, timed apart
        n = vlm.answer([image], PROMPT, max_new_tokens=1, capture=Capture.nothing()).n
        times = race(ways(vlm, image, n), rounds)
    base = statistics.median(times["nothing recorded"])
    for name, seconds in times.items():
        ratios = sorted(one / base for one in seconds)
        typical = statistics.median(ratios)
        yield (
            f"{n:,} visual tokens, {name}: {typical * base:.2f} s of processor time, "
            f"{typical:.2f} × ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.true_size", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="part of a model's name or a picture's size")
    given = parser.parse_args()
    for line in lines(given.rounds, given.only):
        print(line, flush=True)
