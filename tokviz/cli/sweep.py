"""python -m tokviz sweep: its flags and its output."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tokviz.cli.film import add_film_flags, chosen_frames
from tokviz.cli.flags import add_loading_flags, loading
from tokviz.cli.output import plugins_print_on_stderr
from tokviz.cli.plans import split
from tokviz.errors import InputError
from tokviz.progress import is_shown
from tokviz.sweeps.question import KINDS

if TYPE_CHECKING:
    from tokviz.sweeps.running import Sweep

MAX_REASONS = 5
"""Reasons of failed rows that are written on stderr; --json names them all."""
SOURCES = "a folder, a .csv/.tsv/.jsonl table, pope:FILE, easy-vqa:SPLIT or hub:NAME[:SPLIT]"


def add_sweep(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    add = command.add_argument
    add("source", metavar="SOURCE", help=SOURCES)
    add("--images", metavar="FOLDER", help="folder of the images (default: the table's own)")
    add("--prompt", action="append", default=[], help="asked about every picture; may be repeated")
    add("--kind", choices=KINDS, help="how answers are judged where the source does not say")
    add("--objects", metavar="FILE", help="for chair: an object per line, synonyms after commas")
    add("--limit", type=int, metavar="N", help="the first N questions only")
    add_film_flags(command)
    add("--method", action="append", default=[], help="may be repeated, or separated by commas")
    add("--keep", action="append", default=[], help="budgets such as 16,64 or 25%%")
    add(
        "--mitigation", action="append", default=[], help="may be repeated; see: tokviz mitigations"
    )
    what = "of a method or mitigation"
    add("--option", action="append", default=[], metavar="METHOD.NAME=VALUE", help=what)
    add("--model", action="append", default=[], help="embedded, Hub ids or folders")
    add_loading_flags(command)
    add("--max-new-tokens", type=int, default=64, metavar="N", help="default: 64")
    add("--faithfulness", action="store_true", help="test each method's score, too (slow)")
    both = "also a smaller picture at every budget, and the answer without the picture (default: "
    both += "with methods)"
    add("--baselines", action=argparse.BooleanOptionalAction, help=both)
    add("--out", default="sweep", metavar="FOLDER", help="default: sweep; go on with the same one")
    add("--engine", choices=("local", "ray"), default="local", help="default: this process")
    add("--workers", type=int, metavar="N", help="with ray: models loaded at once")
    add("--gpus", type=float, metavar="N", help="with ray: GPUs per worker, as 0.5")
    add("--cpus", type=float, metavar="N", help="with ray: CPU cores per worker")
    add("--address", help="with ray: an existing cluster, or auto (default: start one here)")
    runs = "store the runs of N flipped questions, for the report's links to the lab"
    add("--traces", type=int, default=0, metavar="N", help=runs)
    add("--lab", default="http://127.0.0.1:7860", help="the lab's address for these links")
    add("--quiet", action="store_true", help="no progress bar")
    add("--json", action="store_true", help="print the result as one JSON object")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep that a command line asks for; only now torch's models are imported.

    Returns:
        The exit status: 1 where rows have no answer.
    """
    result = stoppable(
        arguments.out,
        import_module("tokviz.sweeps.running").sweep,
        arguments.source,
        methods=split(arguments.method),
        budgets=split(arguments.keep),
        options=option_table(arguments.option),
        mitigations=split(arguments.mitigation),
        models=split(arguments.model) or ["embedded"],
        images=arguments.images,
        prompts=arguments.prompt,
        kind=arguments.kind,
        objects=arguments.objects,
        limit=arguments.limit,
        **chosen_frames(arguments),
        max_new_tokens=arguments.max_new_tokens,
        faithfulness=arguments.faithfulness,
        baselines=arguments.baselines,
        out=arguments.out,
        engine=engine(arguments),
        traces=arguments.traces,
        lab=arguments.lab,
        progress=is_shown(arguments),
        **loading(arguments),
    )
    report(result, arguments.json)
    return int(bool(result.failed))


def stoppable(folder: str, sweep: Callable[..., Sweep], *given: Any, **more: Any) -> Sweep:
    """Run a sweep; on Ctrl-C print how to continue, and exit with the status of an interrupt."""
    try:
        with plugins_print_on_stderr():
            return sweep(*given, **more)
    except KeyboardInterrupt:
        sys.stderr.write(
            f"\ntokviz: stopped. What was measured is in {folder!r}; the same command goes on from "
            "there.\n"
        )
        raise SystemExit(130) from None


def engine(arguments: argparse.Namespace) -> Any:
    """Return the engine of the flags; None = this process."""
    names = ("workers", "gpus", "cpus", "address")
    given = {name: one for name in names if (one := getattr(arguments, name)) is not None}
    if arguments.engine == "ray":
        return import_module("tokviz.sweeps.ray_engine").RayEngine(**given)
    if given:
        raise InputError(f"--{next(iter(given))} needs --engine ray: this process has one model.")
    return None


def report(result: Sweep, as_json: bool) -> None:
    """Print where the result is and what it holds."""
    facts: dict[str, Any] = {
        "folder": str(result.folder),
        "rows": len(result.rows),
        "measured_now": result.measured,
        "failed": len(result.failed),
        "reasons": dict(Counter(row["error"] for row in result.failed).most_common()),
    }
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    sys.stdout.write(
        f"{facts['rows']} rows ({facts['measured_now']} measured now, {facts['failed']} without an "
        f"answer) in {result.folder / 'rows.parquet'}, shown in {result.folder / 'report.html'}\n"
    )
    for reason, count in list(facts["reasons"].items())[:MAX_REASONS]:
        sys.stderr.write(f"tokviz: {reason} ({count} row{'s' * (count > 1)})\n")


def option_table(pairs: list[str]) -> dict[str, dict[str, Any]]:
    """Return method -> options of texts such as visionzip.contextual=0.25."""
    methods = import_module("tokviz.reduction").METHODS
    mitigations = import_module("tokviz.mitigation").MITIGATIONS
    table: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        place, equals, text = pair.partition("=")
        method, dot, name = place.partition(".")
        if not (equals and dot):
            raise InputError(f"--option must be METHOD.NAME=VALUE, got {pair[:60]!r}.")
        owner = mitigations[method] if method in mitigations else methods[method]
        option = owner.options.get(name)
        table.setdefault(method, {})[name] = text if option is None else option.read(text)
    return table
