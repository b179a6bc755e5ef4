"""python -m benchmarks [--write] [--model M] [--only engine|page]: measure, print one table."""

import argparse
import sys
from collections.abc import Iterator

from benchmarks import engine, page, table
from benchmarks.table import Row

NOTE = "One run; ways of answering took turns, the median of the rounds counts."


def measured(model: str, only: str | None) -> Iterator[Row]:
    """Yield the rows of the engine, then those of the page; each is printed once it is measured."""
    parts = [part for part in ("engine", "page") if only in (None, part)]
    for part in parts:
        for row in engine.rows(model) if part == "engine" else page.rows():
            print(f"{row.what}: {row.value}", file=sys.stderr, flush=True)
            yield row


def main() -> None:
    """Print the table; with --write also put it into README.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--model", default="embedded", help="embedded, a Hub id or a folder")
    parser.add_argument("--only", choices=("engine", "page"))
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    arguments = parser.parse_args()
    block = table.markdown(measured(arguments.model, arguments.only), NOTE)
    print(block)
    if arguments.write:
        table.write(block)


if __name__ == "__main__":
    main()
