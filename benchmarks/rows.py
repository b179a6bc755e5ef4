"""What was measured of one method at one budget, how it is stored, and how sure it is."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from tokviz.text.lines import lines_of

ROWS = Path(__file__).parents[1] / "docs" / "accuracy.jsonl"
"""One line per measured row, in the order in which they were measured."""
FULL = "all tokens"
BLIND = "no picture"
"""Names of the two rows of no method; the second answers from the question alone."""
Z = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Row:
    """One method at one budget."""

    method: str
    share: int
    "Budget in per cent of the visual tokens."
    keep: int
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


def read(path: Path = ROWS) -> list[Row]:
    """Return the rows that are there already."""
    if not path.exists():
        return []
    lines = map(json.loads, lines_of(path.read_text(encoding="utf-8")))
    return [
        Row(**{**line, "scenes": tuple(line["scenes"]), "easyvqa": tuple(line["easyvqa"])})
        for line in lines
    ]


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
