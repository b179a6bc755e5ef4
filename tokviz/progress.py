"""The progress bar of all commands: only on a terminal, and never with --json.

A bar writes to stderr, so that the output of a command can be piped. If stderr is a file or a pipe,
or with --json, nothing is written.
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
"""The format of a bar that shows only a text."""


def is_shown(arguments: argparse.Namespace) -> bool:
    """Return whether a command shows its progress."""
    wanted = not getattr(arguments, "json", False) and not getattr(arguments, "quiet", False)
    return wanted and sys.stderr.isatty()


@contextmanager
def counting(arguments: argparse.Namespace, unit: str) -> Iterator[Counted | None]:
    """Yield a function (done, total) that shows the progress; None if it is not shown."""
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
    """Yield a function (done, found) that shows the progress of a search of unknown length.

    Args:
        arguments: of the command.
        unit: what is counted, such as "answer".
        best: text about the best result so far, with {} for its number.
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
    """Return a function that shows lines in the same place; the last line begins with "ready"."""
    if not is_shown(arguments):
        return None
    bar = tqdm(bar_format=LINE, mininterval=0, file=sys.stderr)

    def tell(line: str) -> None:
        bar.set_description_str(line)
        if line.startswith("ready"):
            bar.close()

    return tell
