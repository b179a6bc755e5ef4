"""What does the page add to a run? `python -m benchmarks.run_cost [--rounds 5]`

A picture of 12 megapixels is asked about through the page's own code, up to the JSON that it sends,
and through `VLM.answer`. Processor time counts, so that other work on the machine does not; both
take turns. docs/load.md and README.md are about time on the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from benchmarks.table import Row, markdown
from components.answering.answering import PageUpdate, answer
from components.answering.run_request import RunRequest
from components.answering.widget_values import charts, explorer
from components.runs.lane_request import LaneRequest
from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.site import Site
from tokviz import images
from tokviz.shipped_files import ASSETS

QUESTION = "Describe the image."
SIZE = (4000, 3000)
LIMIT = 64
KEEP = 144
METHODS = ("fastervlm", "divprune", "fastv")
LARGE = 1_000_000
"""Pixels from which on a picture counts as one that was given, not as a preview of it."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    print(markdown(rows(parser.parse_args().rounds), "Embedded model; processor time."))


def rows(rounds: int) -> Iterator[Row]:
    """Yield what a run of three lanes sends and encodes, then what one answer costs more."""
    site, picture = Site(stored=StoredExamples(), models=Models()), large_picture()
    vlm = site.models.get("embedded")
    vlm.answer([picture], QUESTION, max_new_tokens=2)  # what is made once, before anything counts
    with counted_encodings() as encodings:
        sent = page_run(site, picture, METHODS)
    large = [seconds for pixels, seconds in encodings if pixels >= LARGE]
    what = f"12-megapixel picture, {len(METHODS)} lanes and the full answer"
    yield Row("sent to the page", f"{sent / 1e6:.2f} MB", f"{what}, JSON of all updates")
    yield Row(
        "picture encoded for it",
        f"{len(large)} ×",
        f"{sum(large):.2f} s; {len(encodings) - len(large)} smaller pictures from that one, "
        f"{sum(seconds for _, seconds in encodings) - sum(large):.2f} s",
    )
    pairs = [
        (cpu(lambda: page_run(site, picture)), cpu(lambda: one_answer(vlm, picture)))
        for _ in range(rounds)
    ]
    ratios = sorted(page / alone for page, alone in pairs)
    how = f"median of {rounds} pairs in turn, {ratios[0]:.3f} to {ratios[-1]:.3f}"
    alone = statistics.median(alone for _, alone in pairs)
    yield Row(
        "one answer through the page / `VLM.answer`",
        f"{statistics.median(ratios):.3f} ×",
        f"{how}; `VLM.answer` takes {alone:.2f} s",
    )


def large_picture() -> Image.Image:
    """Return a stored example in 12 megapixels with noise, as a camera has it."""
    scene = Image.open(ASSETS / "examples" / "scene_2.png").convert("RGB").resize(SIZE)
    noise = np.random.default_rng(0).integers(-12, 12, (SIZE[1], SIZE[0], 3))
    return Image.fromarray((np.asarray(scene).astype(np.int16) + noise).clip(0, 255).astype("u1"))


def one_answer(vlm: Any, picture: Image.Image) -> None:
    """Answer as the library does."""
    vlm.answer([picture], QUESTION, max_new_tokens=LIMIT)


def page_run(site: Site, picture: Image.Image, methods: tuple[str, ...] = ()) -> int:
    """Answer as the page does; return the bytes of all JSON that it sends."""
    lanes = [LaneRequest(method, KEEP) for method in methods]
    request = RunRequest(picture, QUESTION, "embedded", lanes, LIMIT)
    return sum(map(sent_bytes, answer(site, request, "benchmark")))


def sent_bytes(update: PageUpdate) -> int:
    """Return the bytes of one update: viewer, lanes and, of a finished run, the charts."""
    values = [update.picture, update.lanes]
    drawn: tuple[Any, ...] = ()
    if update.run is not None:
        values.append(explorer(update.run))
        drawn = charts(update.run)
    return sum(len(json.dumps(value)) for value in values if value is not None) + sum(
        len(figure.to_json()) for figure in drawn
    )


@contextmanager
def counted_encodings() -> Iterator[list[tuple[int, float]]]:
    """Yield a list that gets (pixels, processor seconds) of every picture that Pillow encodes."""
    found: list[tuple[int, float]] = []
    save, thumbnail = Image.Image.save, Image.Image.thumbnail
    before: dict[int, tuple[int, float]] = {}

    def shrunk(image: Image.Image, *how: Any, **more: Any) -> None:
        pixels, began = image.width * image.height, time.process_time()
        thumbnail(image, *how, **more)
        before[id(image)] = pixels, time.process_time() - began

    def saved(image: Image.Image, *how: Any, **more: Any) -> None:
        began = time.process_time()
        save(image, *how, **more)
        pixels, shrinking = before.pop(id(image), (image.width * image.height, 0.0))
        found.append((pixels, shrinking + time.process_time() - began))

    with (
        mock.patch.object(images.Image.Image, "save", saved),
        mock.patch.object(images.Image.Image, "thumbnail", shrunk),
    ):
        yield found


def cpu(work: Callable[[], object]) -> float:
    """Return the processor seconds of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
