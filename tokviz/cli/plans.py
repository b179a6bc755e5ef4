"""Flags that say what is done to the visual tokens: read in one way by every command.

Methods are composed in the order in which they are given, each with its own budget:

    --method tome,fastv --keep 72,25% --option fastv.layer=3
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tokviz
from tokviz.budget import check_budget
from tokviz.errors import InputError

if TYPE_CHECKING:
    from tokviz.plans import Plan


def add_method_flags(command: argparse.ArgumentParser) -> None:
    """Give a command the flags of methods and their budgets."""
    add = command.add_argument
    method = add("--method", action="append", default=[], metavar="NAME",
        help="reduce visual tokens; several are done in turn (see: tokviz methods)")  # fmt: skip
    method.completer = lambda **_: list(tokviz.METHODS)  # type: ignore[attr-defined]
    add("--keep", action="append", default=[], metavar="N|N%",
        help="visual tokens to leave, such as 64 or 25%%; one for each --method")  # fmt: skip


def read_methods(
    arguments: argparse.Namespace, options: Sequence[str] = (), positions: str | None = None
) -> Plan | None:
    """Return the plan of --method and --keep, None without any.

    Args:
        arguments: of the command.
        options: texts such as layer=3 or fastv.layer=3.
        positions: keep, repack or mean, of every method; None = as published.

    Raises:
        InputError: one without the other, or a value that cannot be used.
    """
    methods, budgets = split(arguments.method), split(arguments.keep)
    if not methods:
        if budgets or options or positions:
            raise InputError("--keep, --option and --positions need --method.")
        return None
    if not budgets:
        raise InputError(
            "--method needs --keep, the number or the share of visual tokens to leave."
        )
    if len(methods) != len(budgets):
        raise InputError(
            f"--method and --keep go together: {len(methods)} methods, {len(budgets)} budgets."
        )
    given = options_of(methods, options)
    whole: Plan | None = None
    for method, keep in zip(methods, budgets, strict=True):
        budget = check_budget(keep, "--keep")
        step = tokviz.plan(method, budget, positions, **given[method])
        whole = step if whole is None else whole.then(step)
    return whole


def options_of(methods: Sequence[str], pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return method -> options; one that names no method goes to the only one that has it."""
    found: dict[str, dict[str, Any]] = {method: {} for method in methods}
    for pair in pairs:
        method, dot, rest = pair.partition("=")[0].partition(".")
        if dot and method in found:
            name, value = option(tokviz.METHODS[method].options, rest + pair[pair.find("=") :])
            found[method][name] = value
            continue
        name = method
        owners = [one for one in methods if name in tokviz.METHODS[one].options] or [methods[0]]
        if len(set(owners)) > 1:
            raise InputError(
                f"--option {name} is of several methods: write METHOD.NAME=VALUE, such as "
                f"{owners[0]}.{name}=..."
            )
        name, value = option(tokviz.METHODS[owners[0]].options, pair)
        found[owners[0]][name] = value
    return found


def option(known: Mapping[str, Any], pair: str) -> tuple[str, Any]:
    """Split name=value and read the text as the option's type; its range is checked later."""
    name, equals, text = pair.partition("=")
    if not equals:
        raise InputError(f"--option must be NAME=VALUE, got {pair[:60]!r}.")
    entry = known.get(name)
    return name, text if entry is None else entry.read(text)


def split(values: Sequence[str]) -> list[str]:
    """Return the parts between commas of every value."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]
