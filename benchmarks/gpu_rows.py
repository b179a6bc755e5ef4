"""Measured rows of one section of one model, on disk as soon as they are known."""

import json
import platform
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers

from benchmarks.table import Row, machine, markdown
from tokviz.text.lines import lines_of

STORE = Path(__file__).parents[1] / "docs" / "gpu.jsonl"
"""One line per section of a model; the latest of several counts."""


@dataclass(frozen=True)
class Section:
    """The rows of one section, and under what they were measured."""

    model: str
    name: str
    rows: list[Row]
    device: str
    "The GPU's name, or the CPU's."
    small: bool
    commit: str
    versions: str
    date: str
    seconds: float
    "That the section took, its warm-up included."

    @property
    def key(self) -> tuple[str, str, str, bool]:
        """What makes a section another one."""
        return self.model, self.name, self.device, self.small


def measured(
    model: str, name: str, rows: Iterable[Row], device: str, small: bool, began: float
) -> Section:
    """Return a finished section."""
    seconds = round(time.perf_counter() - began, 1)
    date = time.strftime("%Y-%m-%d")
    kind = device_name(device)
    return Section(model, name, list(rows), kind, small, commit(), versions(), date, seconds)


def device_name(device: str) -> str:
    """Name the device that is measured."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"CPU: {machine()}".partition(", Python")[0]


def versions() -> str:
    """Return what the figures depend on."""
    cuda = f", CUDA {torch.version.cuda}" if torch.version.cuda else ""
    found = f"torch {torch.__version__}{cuda}, transformers {transformers.__version__}"
    return f"{found}, Python {platform.python_version()}"


def commit() -> str:
    """Return the commit that is measured, "unknown" where there is no git; + = with changes."""
    git = ["git", "-C", str(STORE.parent)]
    try:
        name = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+" if changed else "")


def append(section: Section, store: Path) -> None:
    """Put a section on disk."""
    with store.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(section), ensure_ascii=False) + "\n")


def read(store: Path) -> dict[tuple[str, str, str, bool], Section]:
    """Return the latest of every section that is there, in the order of measuring."""
    if not store.exists():
        return {}
    found: dict[tuple[str, str, str, bool], Section] = {}
    for line in lines_of(store.read_text(encoding="utf-8")):
        given = json.loads(line)
        section = Section(**given | {"rows": [Row(*row) for row in given["rows"]]})
        found[section.key] = section
    return found


def page(sections: Iterable[Section]) -> str:
    """Return docs/gpu.md: one table per device, real shapes first."""
    lines = ["# Speed at real shapes", "", "`python -m benchmarks.gpu --write`, random weights."]
    groups: dict[tuple[bool, bool, str], list[Section]] = {}
    for one in sections:
        groups.setdefault((one.device.startswith("CPU"), one.small, one.device), []).append(one)
    if not groups or all(cpu for cpu, *_ in groups):
        lines += [
            "",
            "**No GPU was at hand: these figures are of a CPU and say nothing about a GPU.**",
            "They show that the program runs. A CPU is slow in bfloat16, and models this small",
            "spend their time between operations: ratios of large models will be others.",
        ]
    for (_, small, device), part in sorted(groups.items()):
        what = "shapes a few thousand times smaller" if small else "real shapes"
        rows = [row for section in part for row in section.rows]
        said = {f"{s.date}, commit {s.commit}, {s.versions}" for s in part}
        note = f"{'; '.join(sorted(said))}. {sum(s.seconds for s in part):.0f} s in all."
        lines += ["", f"## {device}, {what}", "", markdown(rows, note)]
    return "\n".join([*lines, ""])
