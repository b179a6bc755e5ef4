"""What was measured of one method at one budget, how it is stored, and how sure it is.

The first line of a file of rows says which model they are of, so that rows of two models never come
into one table.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measured_model import Facts
from tokviz.text.lines import lines_of

ROWS = Path(__file__).parents[1] / "docs" / "accuracy.jsonl"
"""One line per measured row, in the order in which they were measured."""
FULL = "all tokens"
BLIND = "no picture"
"""Names of the two rows of no method; the second answers from the question alone."""
Z = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Sample:
    """The model that rows are of, and how many questions it was asked."""

    model: Facts
    scenes: int
    easyvqa: int


@dataclass(frozen=True)
class Row:
    """One method at one budget under one position policy."""

    method: str
    share: int
    "Budget in per cent of the visual tokens."
    keep: int
    positions: str = ""
    "Position policy: keep, repack or mean; empty for the rows of no method."
    scenes: tuple[int, int] = (0, 0)
    "Right answers, questions."
    easyvqa: tuple[int, int] = (0, 0)
    left: float = 0.0
    "Visual tokens that the last layer computed with, mean."
    per_layer: float = 0.0
    "The same, mean over all layers of the language model."
    decide_ms: float = 0.0
    "Decision time, median; None decided, so 0, for all tokens."
    error: str = ""
    "Why the method cannot run here."
    marks: str = ""
    "Of every question in turn, scenes first: 1 = right, 0 = wrong."
    choice: str = ""
    "Digest of all decisions; methods with the same one chose the same tokens on every picture."


Rows = dict[tuple[str, int, str], Row]
"""Method, share and position policy -> row."""


def read(path: Path = ROWS) -> list[Row]:
    """Return the rows that are there already."""
    return [
        Row(**{**line, "scenes": tuple(line["scenes"]), "easyvqa": tuple(line["easyvqa"])})
        for line in _lines(path)
        if "method" in line
    ]


def sample_of(path: Path = ROWS) -> Sample | None:
    """Return what the first line says; None where there is no file, or none of its kind."""
    first = next(iter(_lines(path)), {})
    if "model" not in first:
        return None
    return Sample(Facts(**first["model"]), first["scenes"], first["easyvqa"])


def begin(sample: Sample, path: Path = ROWS) -> None:
    """Write the first line of a new file, or check that of an old one.

    Raises:
        SystemExit: the file holds rows of another model, or of another number of questions.
    """
    if not path.exists():
        path.write_text(json.dumps(asdict(sample)) + "\n", encoding="utf-8")
    there = sample_of(path)
    if there is None:
        raise SystemExit(
            f"{path.name} does not say which model its rows are of: move it away, or name another "
            "file with --rows."
        )
    if there != sample:
        raise SystemExit(
            f"{path.name} holds rows of {there.model}, {there.scenes} scenes and {there.easyvqa} "
            f"pictures of easy-VQA; now it is {sample.model}, {sample.scenes} scenes and "
            f"{sample.easyvqa} pictures: move it away, or name another file with --rows."
        )


def append(row: Row, path: Path = ROWS) -> None:
    """Add one row at the end of the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(row)) + "\n")


def wilson(right: int, asked: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share of right answers."""
    share, z2 = right / asked, Z * Z / asked
    middle = (share + z2 / 2) / (1 + z2)
    half = Z * math.sqrt(share * (1 - share) / asked + z2 / (4 * asked)) / (1 + z2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _lines(path: Path) -> list[dict]:
    if not path.exists():
        return []
    return [json.loads(line) for line in lines_of(path.read_text(encoding="utf-8"))]
