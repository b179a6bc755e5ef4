"""python -m benchmarks.gpu [--small] [--only NAME] [--minutes N] [--write]: speed at real shapes.

Random weights made on the device, one question, bfloat16; nothing is fetched. All ways of answering
take turns in one run; medians of the rounds' ratios count. Picture preparation is left out on both
sides. Every section of every model is on disk (docs/gpu.jsonl) as soon as it is measured; the same
command goes on with what is missing on this device. About 3 minutes a model on a large GPU. Without
one use --small: the figures then say that the program runs, and nothing about a GPU.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

import tokviz
from benchmarks.gpu_model import Bench, free_memory
from benchmarks.gpu_rows import STORE, Section, append, device_name, measured, page, read
from benchmarks.gpu_sections import SECTIONS
from benchmarks.shapes import SHAPES, Shape
from benchmarks.table import Row, machine

PAGE = STORE.with_suffix(".md")


def sections(
    shape: Shape, names: list[str], small: bool, device: str, rounds: int
) -> Iterator[Section]:
    """Yield the sections of one model; what runs out of memory is a row, and the next goes on."""
    began = time.perf_counter()
    try:
        bench = Bench(shape, small, device, rounds)
    except (tokviz.TokvizError, torch.OutOfMemoryError) as error:
        rows = [failed(shape.name, "the model", error)]
        yield measured(shape.name, "model", rows, device, small, began)
        return
    print(f"{bench.unit}: made in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    for name in names:
        began = time.perf_counter()
        try:
            rows = [
                Row(f"{shape.name}: {row.what}", row.value, row.how)
                for row in SECTIONS[name](bench)
            ]
        except (tokviz.TokvizError, torch.OutOfMemoryError) as error:
            rows = [failed(shape.name, name, error)]
            free_memory()
        yield measured(shape.name, name, rows, device, small, began)


def failed(model: str, what: str, error: Exception) -> Row:
    """Return the row of something that could not be measured."""
    return Row(f"{model}: {what} could not be measured", "–", str(error).splitlines()[0][:200])


def run(given: argparse.Namespace, store: Path) -> None:
    """Measure what is not there yet, until the time is over."""
    kind, end = device_name(given.device), time.perf_counter() + 60 * given.minutes
    for shape in SHAPES:
        if given.only and given.only.lower() not in shape.name.lower():
            continue
        there = {} if given.again else read(store)
        missing = [s for s in SECTIONS if (shape.name, s, kind, given.small) not in there]
        found = sections(shape, missing, given.small, given.device, given.rounds)
        while missing:
            if time.perf_counter() > end:
                print("time is over: the same command goes on from here", file=sys.stderr)
                return
            section = next(found, None)
            if section is None:
                break
            append(section, store)
            for row in section.rows:
                print(*row, sep=" | ", file=sys.stderr, flush=True)
            print(f"[{section.name}: {section.seconds:.0f} s]", file=sys.stderr, flush=True)
        found.close()
        free_memory()


def main() -> None:
    """Measure and print the page; with --write also put it into docs/gpu.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--small", action="store_true", help="small shapes, for a CPU")
    parser.add_argument("--only", help="part of a model's name")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=9.0, help="begin nothing after so long")
    parser.add_argument("--again", action="store_true", help="measure what is there once more")
    parser.add_argument("--store", type=Path, default=STORE, help="file of the rows")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--write", action="store_true", help="write docs/gpu.md; needs a GPU")
    given = parser.parse_args()
    if given.write and not given.device.startswith("cuda"):
        raise SystemExit("docs/gpu.md is written from a GPU's figures only; leave --write out.")
    if not given.small and not given.device.startswith("cuda"):
        raise SystemExit(f"no GPU here ({machine()}): real shapes need one, or use --small.")
    run(given, given.store)
    text = page(read(given.store).values())
    print(text)
    if given.write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
