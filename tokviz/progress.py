"""The one progress bar of the commands: on a terminal only, and never beside --json.

A bar writes to stderr, so that what a command prints can be piped; where stderr is a file or a
pipe, or JSON was asked for, nothing is written at all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

Counted = Callable[[int, int], None]
"""(done, total) -> None."""
LINE = "{desc}"
"""A bar that is only its words."""


def is_shown(arguments: argparse.Namespace) -> bool:
    """Return whether a command shows its progress."""
    wanted = not getattr(arguments, "json", False) and not getattr(arguments, "quiet", False)
    return wanted and sys.stderr.isatty()


@contextmanager
def counting(arguments: argparse.Namespace, unit: str) -> Iterator[Counted | None]:
    """Give what shows how many of a known number of units are done, or None when not shown."""
    if not is_shown(arguments):
        yield None
        return
    with tqdm(unit=unit, leave=False, mininterval=0, file=sys.stderr) as bar:

        def count(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield count


@contextmanager
def searching(arguments: argparse.Namespace, unit: str, best: str) -> Iterator[Counted | None]:
    """Give what shows how many units are done, of a number that nobody knows yet.

    Args:
        arguments: of the command.
        unit: what is counted, such as "answer".
        best: the best that was found so far, with a place for its number.
    """
    if not is_shown(arguments):
        yield None
        return
    with tqdm(unit=unit, leave=False, mininterval=0, file=sys.stderr) as bar:

        def count(done: int, found: int) -> None:
            bar.set_postfix_str(best.format(found), refresh=False)
            bar.update(done - bar.n)

        yield count


def lines(arguments: argparse.Namespace) -> Callable[[str], None] | None:
    """Return what shows one line after the other in the same place; the last begins "ready"."""
    if not is_shown(arguments):
        return None
    bar = tqdm(bar_format=LINE, mininterval=0, file=sys.stderr)

    def tell(line: str) -> None:
        bar.set_description_str(line)
        if line.startswith("ready"):
            bar.close()

    return tell
