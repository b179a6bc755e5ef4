"""Where does a long training keep its state? Numbered checkpoints, the newest three of a stage.

A run on borrowed processor time is stopped often: nothing is lost but the steps since the last
checkpoint, and a checkpoint is only ever whole.
"""

import time
from pathlib import Path

import torch

KEPT = 3
"""Checkpoints of a stage that stay."""
EVERY = 240.0
"""Seconds between checkpoints."""


class Run:
    """The checkpoints of one stage in a folder."""

    def __init__(self, folder: Path, stage: str):
        """Args: `folder` of all stages, `stage` whose files are meant."""
        self.folder, self.stage = folder, stage
        self.saved_at = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    def files(self) -> list[Path]:
        """List the checkpoints, oldest first."""
        return sorted(self.folder.glob(f"{self.stage}-[0-9]*.pt"))

    @property
    def done(self) -> Path:
        """The file that says that the stage is over; it is also the next stage's start."""
        return self.folder / f"{self.stage}.pt"

    def newest(self) -> dict | None:
        """Read the newest checkpoint, None where there is none."""
        files = self.files()
        return torch.load(files[-1], weights_only=True) if files else None

    def due(self) -> bool:
        """Tell whether the last checkpoint is old enough for the next."""
        return time.monotonic() - self.saved_at > EVERY

    def save(self, content: dict, step: int, last: bool = False) -> None:
        """Write a checkpoint and drop the oldest; the last of a stage also as ``done``."""
        for path in [self.folder / f"{self.stage}-{step:06d}.pt"] + [self.done] * last:
            torch.save(content, path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)
        for old in self.files()[:-KEPT]:
            old.unlink()
        self.saved_at = time.monotonic()
