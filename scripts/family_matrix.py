"""Try every method, analysis and mitigation on every family: python -m scripts.family_matrix

On the tiny models of the tests (the real classes with random weights, one photograph), so it says
what runs and what is refused in which words, and nothing about how good an answer is. One line per
attempt goes to docs/families.jsonl, from which `make docs` writes docs/families.md.
Ends with an error where something neither ran nor said why in words.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from PIL import Image
from skimage import data

import tokviz
from scripts.family_page import ROWS, Attempt, read
from tests.models.tiny import TINY, save
from tests.models.tiny_tiles import TINY_KIN, TINY_TILES
from tokviz.errors import TokvizError
from tokviz.names import unknown
from tokviz.testing.on_families import attempts


def try_all(families: list[str]) -> tuple[list[Attempt], list[str]]:
    """Return every attempt, and what failed without words for it."""
    done, failed = [], []
    image = Image.fromarray(data.chelsea())
    for family in families:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            vlm = tokviz.load(save((TINY | TINY_TILES | TINY_KIN)[family], Path(folder)))
        vlm.name = "the tiny model"  # refusals name it, and a folder of this machine says nothing
        for kind, name, call in attempts(vlm, image):
            try:
                call()
                done.append(Attempt(kind, name, family))
            except TokvizError as error:
                done.append(Attempt(kind, name, family, str(error)))
            except Exception as error:  # noqa: BLE001 - listed, and ends the command
                failed.append(f"{family}: {kind} {name}: {type(error).__name__}: {error}")
        print(f"{family}: {time.perf_counter() - began:.0f} s", flush=True)
    return done, failed


def main() -> None:
    """Try everything on all families, or again on those that are named."""
    parser = argparse.ArgumentParser(prog="python -m scripts.family_matrix", description=__doc__)
    every = sorted(TINY | TINY_TILES | TINY_KIN)
    parser.add_argument("family", nargs="*", help=f"these again; default: {' '.join(every)}")
    families = parser.parse_args().family or every
    if strange := [name for name in families if name not in every]:
        parser.error(unknown("family", strange[0], every))
    done, failed = try_all(families)
    print("\n".join(failed) or f"{len(done)} attempts, each ran or said why not")
    rows = sorted(
        [*done, *(row for row in read() if row.family not in families)],
        key=lambda row: (row.family, row.kind, row.name),
    )
    lines = (json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    ROWS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
