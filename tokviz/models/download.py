"""Bringing a checkpoint from the Hub onto this machine, saying how far it is.

Only what tokviz reads is fetched: configs, tokenizer, chat template and safetensors at the top of
the repository. Files that are there already are not fetched again, and are enough without network.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from tqdm import tqdm

Progress = Callable[[str], None]
"Takes one line of text."

READ = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
LEFT = ["*/*.safetensors", "*/*.json", "consolidated*"]
EVERY = 2.0
"Seconds between two lines of progress."


def local_copy(name: str, revision: str | None, progress: Progress) -> str:
    """Return the folder of a checkpoint, fetched from the Hub unless `name` is a folder already.

    Args:
        name: a local folder or a Hub id.
        revision: branch, tag or commit on the Hub.
        progress: told how far the download is.

    Raises:
        OSError: no such repository or revision, no access, or no network and no copy.
        ValueError: not a Hub id.
    """
    if Path(name).is_dir():
        return name
    return snapshot_download(
        name,
        revision=revision,
        allow_patterns=READ,
        ignore_patterns=LEFT,
        tqdm_class=reporting(name, progress),
    )


def reporting(name: str, progress: Progress) -> type[tqdm]:
    """Return a progress bar that draws nothing and tells its bytes in words.

    Args:
        name: what is being fetched.
        progress: told a line every few seconds, and one at the end.
    """

    class Reporting(tqdm):
        """One bar of a download; told are the bytes on disk, not files, nor bytes on the wire."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            on_wire = str(kwargs.get("desc")).startswith("Downloading bytes")
            self.counts_bytes, self.told = (
                kwargs.get("unit") == "B" and not on_wire,
                time.monotonic(),
            )
            super().__init__(*args, **kwargs)

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            """Draw nothing."""

        def update(self, n: float | None = 1) -> bool | None:
            """Count, and say where it stands."""
            drawn = super().update(n)
            now, total = time.monotonic(), self.total or 0
            over = bool(total) and self.n >= total
            if self.counts_bytes and (over or now - self.told >= EVERY):
                self.told = now
                progress(f"fetching {name}: {self.n / 1e9:.2f} of {total / 1e9:.2f} GB")
            return drawn

    return Reporting


def weight_bytes(folder: str) -> int:
    """Return the bytes of a folder's safetensors files."""
    return sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
