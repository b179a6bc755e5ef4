"""python -m tokviz check-method, check-family and check-model: are the promises kept?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tokviz
from tokviz.cli.flags import add_model_flags, load_options
from tokviz.cli.interrupt import left_out_if_interrupted, status_of
from tokviz.cli.output import plugins_print_on_stderr, print_json
from tokviz.errors import InputError

BUILDER = "tiny"
"""Function of a family's module that returns (model, processor) to try it on."""


def add_checks(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Describe the three commands."""
    method = add_parser("check-method", help="try the promises of a reduction method")
    name = method.add_argument("name", metavar="NAME", help="see: tokviz methods")
    name.completer = lambda **_: list(tokviz.METHODS)  # type: ignore[attr-defined]
    add_model_flags(method)
    method.add_argument("--json", action="store_true", help="print one JSON object")
    method.set_defaults(run=run_method)
    family = add_parser("check-family", help="try the promises of a model family")
    family.add_argument(
        "module", metavar="MODULE",
        help=f"what registers the family, as your_package.your_model; its function {BUILDER}() "
        "returns (model, processor), or give --model",
    )  # fmt: skip
    family.add_argument("--model", metavar="FOLDER", help="a checkpoint to try it on")
    family.add_argument("--all", action="store_true", help="also every method and analysis")
    family.add_argument("--json", action="store_true", help="print one JSON object")
    family.set_defaults(run=run_family)
    model = add_parser("check-model", help="try the promises on a checkpoint with real weights")
    add_model_flags(model)
    model.add_argument("--all", action="store_true", help="also every method and analysis")
    model.add_argument("--json", action="store_true", help="print one JSON object, to be sent in")
    model.set_defaults(run=run_model)


def run_method(arguments: argparse.Namespace) -> int:
    """Try a method on a model; the status is 1 where a promise is broken."""
    entry = tokviz.METHODS[arguments.name]
    vlm = tokviz.load(arguments.model, **load_options(arguments))
    testing = import_module("tokviz.testing")
    return report(arguments, lambda told: testing.check_method(entry.name, vlm, told))


def run_family(arguments: argparse.Namespace) -> int:
    """Try a family on a tiny model of it, or on a checkpoint."""
    if not all(part.isidentifier() for part in arguments.module.split(".")):
        raise InputError(
            "a family is given by the name of its module, as your_package.your_model, got "
            f"{arguments.module[:80]!r}."
        )
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does for a module beside one's work
    try:
        module = import_module(arguments.module)
    except ImportError as error:
        raise InputError(f"{arguments.module[:80]!r} cannot be imported: {error}.") from error
    build = getattr(module, BUILDER, None)
    if arguments.model is None and build is None:
        raise InputError(
            f"{arguments.module[:80]!r} has no function {BUILDER}() that returns (model, "
            "processor): write one, or give a checkpoint with --model FOLDER."
        )
    source = arguments.model or build()  # type: ignore[misc]
    testing = import_module("tokviz.testing")
    return report(arguments, lambda told: testing.check_family(source, told, arguments.all))


def run_model(arguments: argparse.Namespace) -> int:
    """Try the promises on a model; with --json the line that docs/families.md is written from."""
    vlm = tokviz.load(arguments.model, **load_options(arguments))
    testing = import_module("tokviz.testing")
    check = partial(testing.check_model, vlm, everything=arguments.all)
    return report(arguments, check, facts(vlm, arguments))


def facts(vlm: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return which model was run, in which numbers, on what and when."""
    device = vlm.info["device"]
    if device.startswith("cuda"):
        device = import_module("torch").cuda.get_device_name(device)
    return {
        "model": arguments.model,
        "revision": arguments.revision or "",
        "family": vlm.info["family"],
        "parameters": vlm.info["parameters"],
        "dtype": vlm.info["dtype"],
        "device": device,
        "date": datetime.now(UTC).date().isoformat(),
        "tokviz": tokviz.__version__,
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def report(
    arguments: argparse.Namespace,
    check: Callable[[Any], list[Any]],
    about: dict[str, Any] | None = None,
) -> int:
    """Print every promise with what became of it; return the exit status.

    Args:
        arguments: of the command.
        check: tries the promises, and tells each.
        about: further entries of the JSON object.
    """
    lines: list[dict[str, Any]] = []

    def told(promise: str, broken: Any) -> None:
        lines.append(
            {"promise": promise, "kept": broken is None, "why": getattr(broken, "why", "")}
        )
        if not arguments.json:
            text = f"kept    {promise}" if broken is None else f"BROKEN  {broken}"
            print(text, flush=True, file=output)

    output = sys.stdout
    with left_out_if_interrupted() as stop, plugins_print_on_stderr():
        check(told)
    broken = sum(not one["kept"] for one in lines)
    if arguments.json:
        found = {**(about or {}), "broken": broken, "promises": lines}
        print_json(found)
    else:
        print(f"{len(lines) - broken} of {len(lines)} promises kept")
    return status_of(stop) or int(bool(broken))
