"""Downloads a checkpoint from the Hub and reports the progress.

Only files that tokviz reads are downloaded: configs, tokenizer, chat template and safetensors at
the top of the repository. Files that are already on this machine are used, also without network.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm

from tokviz.errors import ModelError
from tokviz.models.checkpoints.cards import MODELS
from tokviz.names import did_you_mean

ProgressLine = Callable[[str], None]
"Called with one line of text at a time."

FETCHED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
NOT_FETCHED = ["*/*.safetensors", "*/*.json", "consolidated*"]
LINE_INTERVAL_S = 2.0
"Seconds between two lines of progress."


def local_copy(name: str, revision: str | None, progress: ProgressLine) -> str:
    """Return the folder of a checkpoint; download it from the Hub unless `name` is a folder.

    Args:
        name: a local folder or a Hub id.
        revision: branch, tag or commit on the Hub.
        progress: called with lines about the download.

    Raises:
        ModelError: no such repository or revision, no access, or no network and no copy.
        OSError: the disk is full, or a file cannot be written.
    """
    if Path(name).is_dir():
        if revision is not None:
            raise ModelError("revision is for models on the Hub, and this is a folder.")
        return name
    if "/" not in name and (guess := did_you_mean(name, MODELS)):
        raise ModelError(f"there is no such folder, and no model of this name.{guess}")
    try:
        return snapshot_download(
            name,
            revision=revision,
            allow_patterns=FETCHED,
            ignore_patterns=NOT_FETCHED,
            tqdm_class=reporting(progress),
        )
    except (HFValidationError, HTTPError, LocalEntryNotFoundError) as error:
        raise ModelError(refusal(error, revision)) from error


def refusal(error: Exception, revision: str | None) -> str:
    """Return why the download failed and what to do, as a clause."""
    if isinstance(error, HFValidationError):
        return "there is no such folder, and a Hub id has the form owner/name."
    if isinstance(error, GatedRepoError):
        return "its licence must be accepted first: do so on its Hub page, then `hf auth login`."
    if isinstance(error, RepositoryNotFoundError):
        return "the Hub has no such model, or it is private: check the name, or `hf auth login`."
    if isinstance(error, RevisionNotFoundError):
        return f"the Hub has this model, but not its revision {str(revision)[:60]!r}."
    if isinstance(error, LocalEntryNotFoundError):
        which = f"revision {revision[:60]!r} of it" if revision else "it"
        return (
            f"the Hub cannot be reached from here, and no whole copy of {which} is on this machine."
            " Connect to the network, or give a folder with config.json and .safetensors files."
        )
    cause = str(error).strip().partition("\n")[0][:200].rstrip(".")
    return f"the download failed ({cause}). The files so far are kept: try again."


def reporting(progress: ProgressLine) -> type[tqdm]:
    """Return a progress bar class that draws nothing and reports its bytes as lines of text.

    Args:
        progress: called with a line every few seconds, and one at the end.
    """

    class Reporting(tqdm):
        """The bar of one download; it reports bytes on disk, not files or network traffic."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            on_wire = str(kwargs.get("desc")).startswith("Downloading bytes")
            self.counts_bytes, self.last_line = (
                kwargs.get("unit") == "B" and not on_wire,
                time.monotonic(),
            )
            super().__init__(*args, **kwargs)

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            """Draw nothing."""

        def update(self, n: float | None = 1) -> bool | None:
            """Count, and report the progress of the download."""
            drawn = super().update(n)
            now, total = time.monotonic(), self.total or 0
            over = bool(total) and self.n >= total
            if self.counts_bytes and (over or now - self.last_line >= LINE_INTERVAL_S):
                self.last_line = now
                progress(f"fetching: {self.n / 1e9:.2f} of {total / 1e9:.2f} GB")
            return drawn

    return Reporting
