"""python -m tokviz analyse: run one analysis and print its result."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import tokviz
from tokviz.analysis import ANALYSES, Result
from tokviz.cli.film import add_film_flags, shown
from tokviz.cli.flags import add_model_flags, load_options
from tokviz.cli.output import plugins_print_on_stderr, print_json
from tokviz.cli.plans import add_method_flags, option, read_methods
from tokviz.errors import InputError
from tokviz.progress import counting
from tokviz.trace import open_trace


def add_analyse(command: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    add = command.add_argument
    what = "pictures in the prompt's order, a film, or a folder for an analysis of many pictures"
    add("image", nargs="*", metavar="IMAGE", help=what)
    add("--prompt", help="the question")
    add("--analysis", required=True, metavar="NAME", help="see: tokviz analyses")
    add("--from-trace", metavar="FILE", help="a stored run to look at, in place of a new one")
    add_film_flags(command)
    add_model_flags(command)
    add_method_flags(command)
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="of the analysis")
    add("--json", action="store_true", help="print one JSON object with all arrays")
    command.set_defaults(run=run)


AXES = {
    "t": "answer tokens", "n": "visual tokens", "l": "layers", "h": "heads", "s": "prompt tokens",
    "p": "words of the question", "e": "words of question and answer", "v": "words of the answer",
    "x": "controls", "u": "tower layers", "k": "words read out", "w": "words", "b": "blocks",
    "i": "items", "j": "images",
}  # fmt: skip
"""Letters of axes in words; other letters are printed unchanged."""
MAX_ROWS = 40
"""Largest number of answer tokens, layers or windows that are listed one by one."""


def run(arguments: argparse.Namespace) -> None:
    """Run the analysis and print what it found."""
    name = arguments.analysis
    options = dict(option(ANALYSES[name].options, pair) for pair in arguments.option)
    result = _result(arguments, options)
    if arguments.json:
        print_json(result.as_record())
    else:
        print(plain(result))


def _result(arguments: argparse.Namespace, options: dict[str, Any]) -> Result:
    trace = open_trace(Path(arguments.from_trace)) if arguments.from_trace else None
    if trace is not None and (arguments.method or arguments.keep):
        raise InputError(
            "--from-trace is a finished run: --method and --keep would change nothing."
        )
    if trace is not None and not arguments.image:
        return tokviz.analyse(arguments.analysis, trace, **options)
    if not arguments.image:
        raise InputError("give an image, or a stored run with --from-trace.")
    plan = read_methods(arguments)
    folder = "folder" in ANALYSES[arguments.analysis].asks
    if folder and len(arguments.image) > 1:
        raise InputError(
            f"{arguments.analysis} takes one folder, got {len(arguments.image)} names."
        )
    images = arguments.image[0] if folder else shown(arguments, arguments.image)
    vlm = tokviz.load(arguments.model, **load_options(arguments))
    run, prompt = {"trace": trace, "plan": plan}, arguments.prompt
    with counting(arguments, "forward") as progress, plugins_print_on_stderr():
        return vlm.analyse(arguments.analysis, images, prompt, progress=progress, **run, **options)


def plain(result: Result) -> str:
    """Return an analysis' result as a few lines of text."""
    lines = [f"{result.title} ({result.exactness})", f"  {_summary(result.values, result.axes)}"]
    if "n" in result.axes.split():
        lines.append(f"  most at visual tokens {_most(result)}")
    lines += _rows(result)
    for name, part in result.parts.items():
        lines.append(f"  {name}: {_summary(part.values, part.axes)} ({part.meaning})")
    notes = (result.meaning, result.not_meaning, *result.notes, f"Cost: {result.cost}")
    return "\n".join([*lines, *notes])


def _rows(result: Result) -> list[str]:
    """Return a line for each named item along the first named axis; none for maps of tokens."""
    axes = result.axes.split()
    axis = next((one for one in axes if one in result.labels), "n")
    names = result.labels.get(axis, ())
    if "n" in axes or not 0 < len(names) <= MAX_ROWS:
        return []
    values = np.moveaxis(np.asarray(result.values, np.float64), axes.index(axis), 0)
    return [f"  {name:<12} {_range(row)}" for name, row in zip(names, values, strict=True)]


def _most(result: Result) -> str:
    axes = result.axes.split()
    mean = np.asarray(result.values, np.float64)
    others = tuple(i for i, axis in enumerate(axes) if axis != "n")
    best = np.argsort(-mean.mean(others), kind="stable")[:5]
    return ", ".join(map(str, best))


def _summary(values: Any, axes: str) -> str:
    array = np.asarray(values, np.float64)
    if not array.ndim:
        return f"{array:.4g}"
    sizes = zip(axes.split(), array.shape, strict=True)
    shape = " × ".join(f"{length} {AXES.get(axis, axis)}" for axis, length in sizes)
    return f"[{shape}] {_range(array)}"


def _range(array: np.ndarray) -> str:
    """Return the extremes and the mean of the finite values."""
    finite = array[np.isfinite(array)]
    if not finite.size:
        return "nothing recorded"
    if finite.size == 1:
        return f"{finite.item():.4g}"
    return f"{finite.min():.4g} to {finite.max():.4g}, mean {finite.mean():.4g}"
